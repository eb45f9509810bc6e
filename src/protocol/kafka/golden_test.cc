// Bytes that an independent codec (kafka-python 3.0) made from random values: the same fields in the same places.
#include "protocol/kafka/gen_roundtrip_test.h"
#include "protocol/kafka/record_batch.h"

namespace polylog::kafka::roundtrip {
namespace {

struct Golden {
  const char* message;
  int16_t version;
  MessageType type;
  std::string_view hex;
};

const Golden kGolden[] = {
    {"ApiVersionsResponse", 3, kMessageType<ApiVersionsResponse>,
     "205203fb5b95252f81004d7bc664944d0021a1487e030017030763617a6178791ee6834f00057a78797870771a70000108f161b8137d94"
     "66670207020116246c1f00"},
    {"ProduceRequest", 3, kMessageType<ProduceRequest>,
     "000162395bfa2c54a000000002000000000002eaa87c0900000004797a78632309b1a60000000000016200000002266e12770000000562"
     "7a7a61787ad18c6a0000000161"},
    {"ProduceRequest", 9, kMessageType<ProduceRequest>,
     "0578796262e2c1b26771830305787a78610360ac0d6904626162003f6dd3d0026200000463626303d0eb1647037a79003210084a047a62"
     "78000000"},
    {"ProduceResponse", 10, kMessageType<ProduceResponse>,
     "0204616378024b6d2111c8f8fb4de89cb18b5015efbf0589f96ac956bc3aa6da778ad51302495f0a7c0463617800000100095a5aa72890"
     "6019f60000e140fd9a01002703d6b5f3ed0478627a890bb0c905797a616300914f796a066278797879f34b33be056161616100"},
    {"FetchRequest", 11, kMessageType<FetchRequest>,
     "20c71c496d42d4fc4be5c5fb2c93633064dfaa7e2324475d0f000000020005797a62797900000000000161000000014b2695a31c7b4985"
     "1409281344c961405993f7e201e2d00aa412adec000000010002636200000001bd6233550006636363786278"},
    {"FetchRequest", 17, kMessageType<FetchRequest>,
     "e587d279eb84ab799c25730579c1257aa0355ecb920103441890d2132ed77d09bb05bd5a2a40840100fdd649f24780a6b16c147a26ed94"
     "21e20388196e56d2b3846500047a62620100020261"},
    {"MetadataResponse", 1, kMessageType<MetadataResponse>,
     "0000000227fdd8fe000663796363627a173969b1ffff62138b0c00067a61626361631714880affff6b85fb530000000259ba0004787879"
     "7a0000000001e6ed3e38ebbd400dfe25000000029f8f8555839c82e100000000bc0e0004796361610000000000"},
    {"MetadataResponse", 12, kMessageType<MetadataResponse>,
     "7ff96c450349b950a4012b7b5c96037a6100796a39ea05637862629c5f69aa0379630004627a78827e4bcc02824804616263829f5abf93"
     "4e32fe00d54d5f4fc68c2d0001000001280000"},
    {"OffsetFetchRequest", 8, kMessageType<OffsetFetchRequest>,
     "030663636278620000067a626163630306626262617902553029920006796162636203a868c188b949767300000000"},
    {"OffsetCommitRequest", 8, kMessageType<OffsetCommitRequest>,
     "0478797ac4231c2e07797978626361066363626279030478616103fe03d9406f144a888b89306ddd1df5c703616100e96aea106f7438b0"
     "807ad37bfbb889ef07617961796378000006637879796302e4b1ca6f23f8212a27fc79b6d623afb4037a78000000"},
    {"JoinGroupResponse", 9, kMessageType<JoinGroupResponse>,
     "64210b740560bbfa70660762787a78796201026100010303786206637a6279610561796378000461617907636362787963010000"},
    {"FindCoordinatorResponse", 4, kMessageType<FindCoordinatorResponse>,
     "ee33d780030779617a797979d06a166c066261797863e3fe18dc14e5067861637a780005616279618fc8622801ca3f88e8161e03786200"
     "00"},
    {"CreateTopicsResponse", 7, kMessageType<CreateTopicsResponse>,
     "849b1b100301734507eed97a5886128a6c5be113050f745b04797a639f4ef18ec2e9000001c15fd79f862eb79ea91d25e935b679aa3c20"
     "07617978617879f32600910116030679627a7a63047a626200a10100046178620479636301b600000100021d1200"},
    {"DescribeConfigsResponse", 4, kMessageType<DescribeConfigsResponse>,
     "2fc4af5f03cb9b037a788705787a7a630100af120578787878be057a7a6279030263027800d300020578797862066163617a62c9000303"
     "7978000679617a7a620101550003047a626105626163626d0006637a6262630578797a7a1e0070066279796363000000"},
};

constexpr std::string_view kGoldenBatch =
    "00000000000000000000006400000000024547a8740000000000020000018bcfe568000000018bcfe5680affffffffffffffffffffffff"
    "ffff000000032c000000086b6579300a76616c75650402680278026e0120000a02011476616c756576616c75650014001404086b657932"
    "0100";

Bytes from_hex(std::string_view hex) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  Bytes bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<uint8_t>(digit(hex[i]) << 4 | digit(hex[i + 1])));
  return bytes;
}

}  // namespace

TEST_CASE("messages_of_another_codec_decode_and_encode_to_the_same_bytes") {
  for (const Golden& golden : kGolden) {
    CAPTURE(golden.message);
    CAPTURE(golden.version);
    const Bytes bytes = from_hex(golden.hex);
    const std::optional<Bytes> again = golden.type.recode(bytes, golden.version);
    REQUIRE(again);
    CHECK(*again == bytes);
  }
}

TEST_CASE("a_batch_of_another_codec_is_valid_and_the_builder_makes_the_same_bytes") {
  constexpr int64_t kTime = 1'700'000'000'000;
  Bytes bytes = from_hex(kGoldenBatch);
  CHECK(validate_batch(bytes, {.depth = Depth::kFull}));
  const RecordHeader headers[] = {{"h", base::as_view("x")}, {"n", std::nullopt}};
  BatchBuilder builder;
  builder.add(kTime, base::as_view("key0"), base::as_view("value"), headers);
  builder.add(kTime + 5, std::nullopt, base::as_view("valuevalue"));
  builder.add(kTime + 10, base::as_view("key2"), std::nullopt);
  CHECK(builder.finish({.leader_epoch = 0}) == bytes);
}

}  // namespace polylog::kafka::roundtrip
