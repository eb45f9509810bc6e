#include "protocol/amqp/properties.h"

#include <doctest/doctest.h>

#include "protocol/amqp/field_table.h"
#include "protocol/amqp/test_bytes.h"

namespace polylog::amqp {
namespace {

// All fourteen, as pika 1.3 writes them; payload of a header frame for a body of 5 bytes.
constexpr std::string_view kAll =
    "003c 0000 0000000000000005 fffc 0a746578742f706c61696e 057574662d38 00000008 0168 53 00000001 76 02 09 0163 0172"
    "0431303030 016d 000000006553f100 0174 056775657374 03617070 02636c";

PropertiesView parse(const std::vector<uint8_t>& bytes) {
  const auto view = PropertiesView::parse(bytes);
  REQUIRE(view.has_value());
  return *view;
}

TEST_CASE("all_fourteen_properties_are_read_and_written_back") {
  const auto payload = from_hex(kAll);
  const auto header = parse_content_header(payload);
  REQUIRE(header.has_value());
  CHECK(header->class_id == 60);
  CHECK(header->weight == 0);
  CHECK(header->body_size == 5);

  const auto view = PropertiesView::parse(header->property_bytes);
  REQUIRE(view.has_value());
  const BasicProperties all = view->all();
  CHECK(all.content_type == "text/plain");
  CHECK(all.content_encoding == "utf-8");
  REQUIRE(all.headers.has_value());
  CHECK(find(*all.headers, "h")->text() == "v");
  CHECK(all.delivery_mode == 2);
  CHECK(view->is_persistent());
  CHECK(all.priority == 9);
  CHECK(all.correlation_id == "c");
  CHECK(all.reply_to == "r");
  CHECK(all.expiration == "1000");
  CHECK(all.message_id == "m");
  CHECK(all.timestamp == 1'700'000'000);
  CHECK(all.type == "t");
  CHECK(all.user_id == "guest");
  CHECK(all.app_id == "app");
  CHECK(all.cluster_id == "cl");

  base::Writer out;
  encode(out, all);
  CHECK(base::equal(out.view(), header->property_bytes));
}

TEST_CASE("absent_properties_cost_a_flag") {
  const auto bytes = from_hex("0000");
  const PropertiesView view = parse(bytes);
  CHECK_FALSE(view.text(Property::kContentType).has_value());
  CHECK_FALSE(view.headers().has_value());
  CHECK_FALSE(view.priority().has_value());
  CHECK_FALSE(view.timestamp().has_value());
  CHECK_FALSE(view.is_persistent());
  base::Writer out;
  encode(out, BasicProperties{});
  CHECK(out.buffer() == bytes);
}

TEST_CASE("present_but_empty_is_not_absent") {
  const auto bytes = from_hex("8000 00");
  CHECK(parse(bytes).text(Property::kContentType) == "");
}

TEST_CASE("property_bytes_cut_at_any_byte_are_refused") {
  const auto payload = from_hex(kAll);
  for (size_t size = 0; size < payload.size(); ++size) {
    const auto header = parse_content_header(base::View(payload).first(size));
    if (header) CHECK_FALSE(PropertiesView::parse(header->property_bytes).has_value());
  }
}

TEST_CASE("left_over_bytes_unused_flags_and_broken_headers_are_refused") {
  CHECK_FALSE(PropertiesView::parse(from_hex("0000 00")).has_value());
  CHECK_FALSE(PropertiesView::parse(from_hex("0002")).has_value());
  CHECK_FALSE(PropertiesView::parse(from_hex("2000 00000003 0161 5a")).has_value());
}

TEST_CASE("a_continued_flags_word_must_be_empty") {
  const auto empty = from_hex("1001 0000 02");
  CHECK(parse(empty).delivery_mode() == 2);
  const auto twice = from_hex("1001 0001 0000 02");
  CHECK(parse(twice).delivery_mode() == 2);
  CHECK_FALSE(PropertiesView::parse(from_hex("1001 8000 02")).has_value());
  CHECK_FALSE(PropertiesView::parse(from_hex("1001")).has_value());
}

}  // namespace
}  // namespace polylog::amqp
