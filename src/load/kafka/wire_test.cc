#include "load/kafka/wire.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <iterator>

#include "base/crc32c.h"

namespace polylog::load::kafka {
namespace {

// A reply with a correlation id, from what is put behind it.
class Reply {
 public:
  Reply() { out.i32be(0); }
  std::string_view text() const { return base::as_text(out.view()); }
  base::Writer out;
};

std::vector<uint8_t> batch_of(std::initializer_list<std::string_view> values, int64_t base_offset) {
  std::vector<uint8_t> bytes;
  BatchWriter batch(bytes, 5);
  for (const std::string_view value : values) std::ranges::copy(value, batch.add(value.size()));
  batch.finish();
  base::Writer offset;
  offset.i64be(base_offset);
  std::ranges::copy(offset.view(), bytes.begin());
  return bytes;
}

TEST_CASE("load kafka: what a batch holds is read back, from any offset on") {
  std::vector<uint8_t> bytes = batch_of({"one", "two"}, 10);
  std::ranges::copy(batch_of({std::string(300, 'x')}, 12), std::back_inserter(bytes));
  const auto visited = [&](base::View view, int64_t from) {
    std::string seen;
    const auto next = visit_records(view, from, [&](int64_t offset, std::string_view value) {
      seen += std::to_string(offset) + '=' + std::string(value.substr(0, 3)) + ' ';
    });
    REQUIRE(next);
    return seen + std::to_string(*next);
  };
  CHECK(visited(bytes, 10) == "10=one 11=two 12=xxx 13");
  CHECK(visited(bytes, 11) == "11=two 12=xxx 13");
  CHECK(visited(base::View(bytes).first(bytes.size() - 1), 10) == "10=one 11=two 12");
  CHECK(visited({}, 10) == "10");
}

TEST_CASE("load kafka: a batch has the right checksum and length") {
  const std::vector<uint8_t> bytes = batch_of({"a"}, 0);
  base::Reader in(bytes);
  in.skip(8);
  CHECK(in.u32be() == bytes.size() - 12);
  in.skip(5);
  CHECK(in.u32be() == base::crc32c(base::View(bytes).subspan(21)));
}

TEST_CASE("load kafka: bytes that are no batch, and compressed ones, are refused") {
  std::vector<uint8_t> compressed = batch_of({"a"}, 0);
  compressed[22] = 4;
  CHECK(visit_records(compressed, 0, [](int64_t, std::string_view) {}).error().code == base::ErrorCode::kUnsupported);
  const std::vector<uint8_t> zeros(100);
  CHECK(visit_records(zeros, 0, [](int64_t, std::string_view) {}).error().code == base::ErrorCode::kMalformed);
}

TEST_CASE("load kafka: a reply is taken when it is whole, and its size is checked first") {
  CHECK(front_reply("\0\0")->empty());
  CHECK(front_reply(std::string_view("\0\0\0\5abcd", 8))->empty());
  CHECK(*front_reply(std::string_view("\0\0\0\5abcdeX", 10)) == "abcde");
  CHECK_FALSE(front_reply("HTTP/1.1 400 Bad Request"));
  CHECK_FALSE(front_reply(std::string_view("\0\0\0\3abc", 7)));
}

TEST_CASE("load kafka: a server without a version that is spoken is named") {
  Reply reply;
  reply.out.i16be(0);
  reply.out.i32be(1);
  for (const int16_t field : {0, 3, 6}) reply.out.i16be(field);
  CHECK(check_versions(reply.text()).error().text == "the server does not offer Produce v7");
  CHECK(check_versions("abcd").error().code == base::ErrorCode::kMalformed);
}

TEST_CASE("load kafka: the leaders of a topic, and replies that end too soon") {
  Reply reply;
  reply.out.i32be(1);  // brokers
  reply.out.i32be(7);
  reply.out.i16be(1);
  reply.out.text("h");
  reply.out.i32be(9092);
  reply.out.i16be(-1);
  reply.out.i32be(7);  // controller
  reply.out.i32be(1);  // topics
  reply.out.i16be(0);
  reply.out.i16be(1);
  reply.out.text("t");
  reply.out.i8(0);
  reply.out.i32be(2);
  for (const int32_t leader : {7, -1}) {
    reply.out.i16be(leader < 0 ? 5 : 0);
    reply.out.i32be(leader < 0 ? 1 : 0);
    reply.out.i32be(leader);
    for (int list = 0; list < 2; ++list) {
      reply.out.i32be(1);
      reply.out.i32be(7);
    }
  }
  const auto topic = parse_metadata(reply.text());
  REQUIRE(topic);
  REQUIRE(topic->partitions.size() == 2);
  CHECK(topic->partitions[0].host == "h");
  CHECK(topic->partitions[0].port == 9092);
  CHECK(topic->partitions[1].host.empty());
  for (size_t size = 0; size < reply.text().size(); ++size) CHECK_FALSE(parse_metadata(reply.text().substr(0, size)));
}

}  // namespace
}  // namespace polylog::load::kafka
