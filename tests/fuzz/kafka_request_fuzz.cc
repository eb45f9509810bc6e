// Any bytes as a Kafka frame's payload: header, then the body in the version it names. What decodes must encode, and
// decode again to the same bytes.
#include <vector>

#include "base/check.h"
#include "protocol/kafka/gen/for_tests.h"
#include "protocol/kafka/wire.h"

namespace polylog::kafka {
namespace {

template <typename M>
void check_body(base::Reader& in, int16_t version) {
  M message;
  if (!decode(in, version, message)) return;
  base::Writer first, second;
  encode(first, version, message);
  base::Reader again(first.view());
  M copy;
  CHECK(decode(again, version, copy), "an encoded message decodes");
  encode(second, version, copy);
  CHECK(base::equal(first.view(), second.view()), "and encodes to the same bytes");
}

void check_payload(base::View payload) {
  base::Reader in(payload);
  RequestHeader header;
  if (read_request_header(in, header) != HeaderStatus::kOk) return;
  switch (static_cast<ApiKey>(header.api_key)) {
#define POLYLOG_CHECK_API(name) \
  case ApiKey::k##name: return check_body<name##Request>(in, header.api_version);
    POLYLOG_KAFKA_APIS(POLYLOG_CHECK_API)
#undef POLYLOG_CHECK_API
  }
}

}  // namespace
}  // namespace polylog::kafka

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  polylog::kafka::check_payload({data, size});
  return 0;
}
