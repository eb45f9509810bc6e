#include "broker/catalog/records.h"

#include <doctest/doctest.h>

namespace polylog::broker {
namespace {

TEST_CASE("a_record_round_trips_and_no_prefix_or_longer_form_decodes") {
  StreamRecord record{.name = "n", .kind = StreamKind::kQueue, .auto_delete = true, .version = 4};
  record.partitions = {base::CellId(1), base::CellId(2)};
  record.attributes = {{"a", "1"}, {"b", ""}};
  const std::string bytes = encode_record(record);
  const auto again = decode_record(base::as_view(bytes));
  REQUIRE(again);
  CHECK(encode_record(*again) == bytes);
  CHECK((again->kind == StreamKind::kQueue && again->auto_delete && again->attributes == record.attributes));
  for (size_t size = 0; size < bytes.size(); ++size) CHECK(!decode_record(base::as_view(bytes).first(size)));
  CHECK(!decode_record(base::as_view(bytes + "x")));
}

TEST_CASE("settings_round_trip_and_no_prefix_or_longer_form_decodes") {
  const Settings settings{.version = 9, .values = {{"a", "1"}, {"b", ""}}};
  const std::string bytes = encode_settings(settings);
  const auto again = decode_settings(base::as_view(bytes));
  REQUIRE(again);
  CHECK(again->version == 9);
  CHECK(again->values == settings.values);
  for (size_t size = 0; size < bytes.size(); ++size) CHECK(!decode_settings(base::as_view(bytes).first(size)));
  CHECK(!decode_settings(base::as_view(bytes + "x")));
}

}  // namespace
}  // namespace polylog::broker
