#include "protocol/kafka/gen_roundtrip_test.h"

namespace polylog::kafka::roundtrip {

TEST_CASE("every_request_round_trips_in_every_version_and_no_prefix_decodes") {
#define POLYLOG_CHECK_API(name) check_all_versions(ApiKey::k##name, kMessageType<name##Request>);
  POLYLOG_KAFKA_APIS(POLYLOG_CHECK_API)
#undef POLYLOG_CHECK_API
}

}  // namespace polylog::kafka::roundtrip
