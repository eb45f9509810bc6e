#include "protocol/amqp/field_table.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "protocol/amqp/test_bytes.h"

namespace polylog::amqp {
namespace {

// As pika 1.3 writes {'x-message-ttl': 60000, 'x-big': 2**40, 'x-neg': -5, 's': 'text', 'b': True, 'none': None,
// 'list': [1, 'a'], 't': {'k': 'v'}, 'bytes': b'\0\xff', 'dec': 3.14, 'time': 2026-01-02T03:04:05Z}.
constexpr std::string_view kPikaTable =
    "0d782d6d6573736167652d74746c 49 0000ea60  05782d626967 6c 0000010000000000  05782d6e6567 49 fffffffb"
    "0173 53 00000004 74657874  0162 74 01  046e6f6e65 56"
    "046c697374 41 0000000b 49 00000001 53 00000001 61  0174 46 00000008 016b 53 00000001 76"
    "056279746573 78 00000002 00ff  03646563 44 02 0000013a  0474696d65 54 00000000695735a5";

// One value of each type the reader knows, in its shortest table.
constexpr std::string_view kEveryType =
    "0161 74 01  0162 62 ff  0163 42 ff  0164 73 ffff  0165 75 ffff  0166 49 ffffffff  0167 69 ffffffff"
    "0168 6c ffffffffffffffff  0169 4c 8000000000000000  016a 66 3fc00000  016b 64 3ff8000000000000"
    "016c 44 02 ffffffff  016d 53 00000001 78  016e 41 00000002 56 56  016f 54 0000000000000001"
    "0170 46 00000003 0161 56  0171 56  0172 78 00000000";

FieldValue integer(FieldType type, int64_t value) { return {.type = type, .integer = value}; }
FieldValue text(std::string_view value) { return {.type = FieldType::kLongstr, .bytes = base::as_view(value)}; }

std::vector<uint8_t> nested_tables(int depth) {
  std::vector<uint8_t> table = from_hex("0161 42 01");
  for (int i = 1; i < depth; ++i) {
    base::Writer out;
    TableWriter(out).put_table("t", table);
    table = out.buffer();
  }
  return table;
}

TEST_CASE("every_type_is_read_with_its_width_and_sign") {
  const auto table = from_hex(kEveryType);
  REQUIRE(is_valid_table(table));
  const auto at = [&](std::string_view key) { return find(table, key).value(); };
  CHECK(at("a").integer == 1);
  CHECK(at("b").integer == -1);
  CHECK(at("c").integer == 255);
  CHECK(at("d").integer == -1);
  CHECK(at("e").integer == 65'535);
  CHECK(at("f").integer == -1);
  CHECK(at("g").integer == 4'294'967'295);
  CHECK(at("h").integer == -1);
  CHECK(at("i").integer == INT64_MIN);
  CHECK(at("j").real == 1.5);
  CHECK(at("k").real == 1.5);
  CHECK(at("l").scale == 2);
  CHECK(at("l").integer == -1);
  CHECK(at("m").text() == "x");
  CHECK(at("n").bytes.size() == 2);
  CHECK(at("o").integer == 1);
  CHECK(at("p").type == FieldType::kTable);
  CHECK(at("q").type == FieldType::kVoid);
  CHECK(at("r").bytes.empty());
  CHECK_FALSE(find(table, "s").has_value());
}

TEST_CASE("values_are_written_back_byte_for_byte") {
  for (std::string_view hex : {kEveryType, kPikaTable}) {
    const auto table = from_hex(hex);
    base::Writer out;
    TableWriter writer(out);
    TableReader reader(table);
    for (Field field; reader.next(field);) writer.put_value(field.key, field.value);
    CHECK(reader.ok());
    CHECK(out.buffer() == table);
  }
}

TEST_CASE("the_writer_gives_the_bytes_a_client_writes") {
  base::Writer out;
  {
    TableWriter table(out);
    table.put_i32("x-message-ttl", 60'000);
    table.put_i64("x-big", int64_t{1} << 40);
    table.put_i32("x-neg", -5);
    table.put_text("s", "text");
    table.put_bool("b", true);
    table.put_void("none");
    {
      ArrayWriter list = table.begin_array("list");
      list.add_value(integer(FieldType::kInt32, 1));
      list.add_text("a");
    }
    table.begin_table("t").put_text("k", "v");
    table.put_bytes("bytes", from_hex("00ff"));
    table.put_value("dec", {.type = FieldType::kDecimal, .scale = 2, .integer = 314});
    table.put_timestamp("time", 0x695735a5);
  }
  CHECK(out.buffer() == from_hex(kPikaTable));
}

TEST_CASE("arrays_of_tables_nest") {
  base::Writer out;
  {
    TableWriter table(out);
    ArrayWriter deaths = table.begin_array("x-death");
    {
      TableWriter death = deaths.begin_table();
      death.put_i64("count", 2);
      death.begin_array("routing-keys").add_text("k");
    }
    deaths.add_i64(7);
    deaths.begin_array().add_i64(8);
  }
  REQUIRE(is_valid_table(out.view()));
  CHECK(to_text({.type = FieldType::kTable, .bytes = out.view()}) == "{x-death=[{count=2, routing-keys=[k]}, 7, [8]]}");
}

TEST_CASE("a_table_cut_at_any_byte_is_invalid_unless_cut_between_entries") {
  const auto table = from_hex(kEveryType);
  std::vector<size_t> boundaries = {0};
  TableReader reader(table);
  for (Field field; reader.next(field);) {
    base::Writer out;
    TableWriter(out).put_value(field.key, field.value);
    boundaries.push_back(boundaries.back() + out.size());
  }
  for (size_t size = 0; size <= table.size(); ++size) {
    const bool whole = std::find(boundaries.begin(), boundaries.end(), size) != boundaries.end();
    CHECK(is_valid_table(base::View(table).first(size)) == whole);
  }
}

TEST_CASE("malformed_values_are_refused") {
  CHECK_FALSE(is_valid_table(from_hex("0161 5a 00")));             // no such type
  CHECK_FALSE(is_valid_table(from_hex("0161 53 ffffffff 61")));    // a length far beyond the end
  CHECK_FALSE(is_valid_table(from_hex("0161 46 00000002 0161")));  // malformed inside
  CHECK_FALSE(is_valid_table(from_hex("0161 41 00000001 49")));    // likewise in an array
}

TEST_CASE("tables_nest_to_the_limit_and_not_deeper") {
  CHECK(is_valid_table(nested_tables(kTableDepthMax)));
  CHECK_FALSE(is_valid_table(nested_tables(kTableDepthMax + 1)));
}

TEST_CASE("the_first_of_repeated_keys_counts") { CHECK(find(from_hex("0161 42 01 0161 42 02"), "a")->integer == 1); }

TEST_CASE("values_compare_by_meaning_not_by_width") {
  CHECK(equal_by_value(integer(FieldType::kUint8, 5), integer(FieldType::kInt64Alias, 5)));
  CHECK_FALSE(equal_by_value(integer(FieldType::kInt8, -1), integer(FieldType::kUint8, 255)));
  CHECK_FALSE(equal_by_value(integer(FieldType::kInt32, 5), text("5")));
  CHECK_FALSE(equal_by_value(integer(FieldType::kInt32, 1), integer(FieldType::kBool, 1)));
  CHECK_FALSE(equal_by_value(integer(FieldType::kInt32, 1), integer(FieldType::kTimestamp, 1)));
  CHECK(equal_by_value({.type = FieldType::kFloat, .real = 1.5}, {.type = FieldType::kDouble, .real = 1.5}));
  CHECK(equal_by_value(text("a"), text("a")));
  CHECK_FALSE(equal_by_value(text("a"), text("b")));
  CHECK(equal_by_value({}, {}));

  const auto narrow = from_hex("0161 42 05"), wide = from_hex("0161 6c 0000000000000005");
  const auto longer = from_hex("0161 42 05 0162 56");
  const auto table = [](base::View bytes) { return FieldValue{.type = FieldType::kTable, .bytes = bytes}; };
  CHECK(equal_by_value(table(narrow), table(wide)));
  CHECK_FALSE(equal_by_value(table(narrow), table(longer)));
  const auto deep = nested_tables(kTableDepthMax), too_deep = nested_tables(kTableDepthMax + 1);
  CHECK(equal_by_value(table(deep), table(deep)));
  CHECK_FALSE(equal_by_value(table(too_deep), table(too_deep)));
}

TEST_CASE("types_are_called_as_in_error_texts") {
  CHECK(std::string(name_of(FieldType::kInt32)) == "signedint");
  CHECK(std::string(name_of(FieldType::kInt64)) == "long");
  CHECK(std::string(name_of(FieldType::kBytes)) == "binary");
}

}  // namespace
}  // namespace polylog::amqp
