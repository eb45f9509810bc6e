#include "protocol/amqp/field_table.h"

#include <fmt/format.h>

#include <bit>

#include "base/check.h"
#include "protocol/amqp/strings.h"

namespace polylog::amqp {
namespace {

FieldValue read_value(base::Reader& in) {
  FieldValue value{.type = static_cast<FieldType>(in.u8())};
  switch (value.type) {
    case FieldType::kBool: value.integer = in.u8() != 0; return value;
    case FieldType::kInt8: value.integer = in.i8(); return value;
    case FieldType::kUint8: value.integer = in.u8(); return value;
    case FieldType::kInt16: value.integer = in.i16be(); return value;
    case FieldType::kUint16: value.integer = in.u16be(); return value;
    case FieldType::kInt32: value.integer = in.i32be(); return value;
    case FieldType::kUint32: value.integer = in.u32be(); return value;
    case FieldType::kInt64:
    case FieldType::kInt64Alias:
    case FieldType::kTimestamp: value.integer = in.i64be(); return value;
    case FieldType::kFloat: value.real = static_cast<double>(std::bit_cast<float>(in.u32be())); return value;
    case FieldType::kDouble: value.real = std::bit_cast<double>(in.u64be()); return value;
    case FieldType::kDecimal:
      value.scale = in.u8();
      value.integer = in.i32be();
      return value;
    case FieldType::kLongstr:
    case FieldType::kBytes:
    case FieldType::kArray:
    case FieldType::kTable: value.bytes = in.bytes(in.u32be()); return value;
    case FieldType::kVoid: return value;
  }
  in.set_failed();
  return {};
}

// Type and data, as read_value() reads them.
void write_value(base::Writer& out, const FieldValue& value) {
  out.u8(static_cast<uint8_t>(value.type));
  switch (value.type) {
    case FieldType::kBool:
    case FieldType::kInt8:
    case FieldType::kUint8: out.u8(static_cast<uint8_t>(value.integer)); return;
    case FieldType::kInt16:
    case FieldType::kUint16: out.u16be(static_cast<uint16_t>(value.integer)); return;
    case FieldType::kInt32:
    case FieldType::kUint32: out.u32be(static_cast<uint32_t>(value.integer)); return;
    case FieldType::kInt64:
    case FieldType::kInt64Alias:
    case FieldType::kTimestamp: out.i64be(value.integer); return;
    case FieldType::kFloat: out.u32be(std::bit_cast<uint32_t>(static_cast<float>(value.real))); return;
    case FieldType::kDouble: out.u64be(std::bit_cast<uint64_t>(value.real)); return;
    case FieldType::kDecimal:
      out.u8(value.scale);
      out.i32be(static_cast<int32_t>(value.integer));
      return;
    case FieldType::kLongstr:
    case FieldType::kBytes:
    case FieldType::kArray:
    case FieldType::kTable: write_table(out, value.bytes); return;
    case FieldType::kVoid: return;
  }
}

bool is_valid_nested(const FieldValue& value, int depth);

bool is_valid_table_at(base::View table, int depth) {
  if (depth > kTableDepthMax) return false;
  TableReader reader(table);
  Field field;
  while (reader.next(field)) {
    if (!is_valid_nested(field.value, depth)) return false;
  }
  return reader.ok();
}

bool is_valid_array_at(base::View array, int depth) {
  if (depth > kTableDepthMax) return false;
  ArrayReader reader(array);
  FieldValue value;
  while (reader.next(value)) {
    if (!is_valid_nested(value, depth)) return false;
  }
  return reader.ok();
}

bool is_valid_nested(const FieldValue& value, int depth) {
  if (value.type == FieldType::kTable) return is_valid_table_at(value.bytes, depth + 1);
  if (value.type == FieldType::kArray) return is_valid_array_at(value.bytes, depth + 1);
  return true;
}

bool equal_at(const FieldValue& a, const FieldValue& b, int depth);

bool tables_equal(base::View a, base::View b, int depth) {
  TableReader reader_a(a), reader_b(b);
  Field field_a, field_b;
  while (true) {
    const bool more_a = reader_a.next(field_a), more_b = reader_b.next(field_b);
    if (more_a != more_b) return false;
    if (!more_a) return reader_a.ok() && reader_b.ok();
    if (field_a.key != field_b.key || !equal_at(field_a.value, field_b.value, depth)) return false;
  }
}

bool arrays_equal(base::View a, base::View b, int depth) {
  ArrayReader reader_a(a), reader_b(b);
  FieldValue value_a, value_b;
  while (true) {
    const bool more_a = reader_a.next(value_a), more_b = reader_b.next(value_b);
    if (more_a != more_b) return false;
    if (!more_a) return reader_a.ok() && reader_b.ok();
    if (!equal_at(value_a, value_b, depth)) return false;
  }
}

// `depth`: how many tables and arrays the two values lie in.
bool equal_at(const FieldValue& a, const FieldValue& b, int depth) {
  if (a.is_integer() && b.is_integer()) return a.integer == b.integer;
  if (a.is_real() && b.is_real()) return a.real == b.real;
  if (a.type != b.type) return false;
  if (a.type == FieldType::kTable) return depth < kTableDepthMax && tables_equal(a.bytes, b.bytes, depth + 1);
  if (a.type == FieldType::kArray) return depth < kTableDepthMax && arrays_equal(a.bytes, b.bytes, depth + 1);
  return a.integer == b.integer && a.scale == b.scale && base::equal(a.bytes, b.bytes);
}

void append_text(std::string& out, const FieldValue& value, int depth);

void append_table_text(std::string& out, base::View table, int depth) {
  if (depth > kTableDepthMax) return;
  out += '{';
  TableReader reader(table);
  Field field;
  for (bool first = true; reader.next(field); first = false) {
    if (!first) out += ", ";
    out.append(field.key).append("=");
    append_text(out, field.value, depth);
  }
  out += '}';
}

void append_array_text(std::string& out, base::View array, int depth) {
  if (depth > kTableDepthMax) return;
  out += '[';
  ArrayReader reader(array);
  FieldValue value;
  for (bool first = true; reader.next(value); first = false) {
    if (!first) out += ", ";
    append_text(out, value, depth);
  }
  out += ']';
}

void append_text(std::string& out, const FieldValue& value, int depth) {
  switch (value.type) {
    case FieldType::kBool: out += value.integer != 0 ? "true" : "false"; return;
    case FieldType::kInt8:
    case FieldType::kUint8:
    case FieldType::kInt16:
    case FieldType::kUint16:
    case FieldType::kInt32:
    case FieldType::kUint32:
    case FieldType::kInt64:
    case FieldType::kInt64Alias: out += fmt::format("{}", value.integer); return;
    case FieldType::kTimestamp: out += fmt::format("{}", static_cast<uint64_t>(value.integer)); return;
    case FieldType::kFloat:
    case FieldType::kDouble: out += fmt::format("{}", value.real); return;
    case FieldType::kDecimal: out += fmt::format("{}e-{}", value.integer, value.scale); return;
    case FieldType::kLongstr:
    case FieldType::kBytes: out += value.text(); return;
    case FieldType::kArray: append_array_text(out, value.bytes, depth + 1); return;
    case FieldType::kTable: append_table_text(out, value.bytes, depth + 1); return;
    case FieldType::kVoid: out += "undefined"; return;
  }
}

// The length is not known yet; close_length() fills it in.
size_t open_length(base::Writer& out) {
  const size_t at = out.size();
  out.u32be(0);
  return at;
}

void close_length(base::Writer& out, size_t at) {
  out.patch_u32be(at, static_cast<uint32_t>(out.size() - at - sizeof(uint32_t)));
}

}  // namespace

const char* name_of(FieldType type) {
  switch (type) {
    case FieldType::kBool: return "bool";
    case FieldType::kInt8: return "byte";
    case FieldType::kUint8: return "unsignedbyte";
    case FieldType::kInt16: return "short";
    case FieldType::kUint16: return "unsignedshort";
    case FieldType::kInt32: return "signedint";
    case FieldType::kUint32: return "unsignedint";
    case FieldType::kInt64:
    case FieldType::kInt64Alias: return "long";
    case FieldType::kFloat: return "float";
    case FieldType::kDouble: return "double";
    case FieldType::kDecimal: return "decimal";
    case FieldType::kTimestamp: return "timestamp";
    case FieldType::kLongstr: return "longstr";
    case FieldType::kBytes: return "binary";
    case FieldType::kArray: return "array";
    case FieldType::kTable: return "table";
    case FieldType::kVoid: return "void";
  }
  return "unknown";
}

bool FieldValue::is_integer() const {
  switch (type) {
    case FieldType::kInt8:
    case FieldType::kUint8:
    case FieldType::kInt16:
    case FieldType::kUint16:
    case FieldType::kInt32:
    case FieldType::kUint32:
    case FieldType::kInt64:
    case FieldType::kInt64Alias: return true;
    case FieldType::kBool:
    case FieldType::kFloat:
    case FieldType::kDouble:
    case FieldType::kDecimal:
    case FieldType::kTimestamp:
    case FieldType::kLongstr:
    case FieldType::kBytes:
    case FieldType::kArray:
    case FieldType::kTable:
    case FieldType::kVoid: return false;
  }
  return false;
}

bool TableReader::next(Field& field) {
  if (in_.at_end()) return false;
  field.key = read_shortstr(in_);
  field.value = read_value(in_);
  return in_.ok();
}

bool ArrayReader::next(FieldValue& value) {
  if (in_.at_end()) return false;
  value = read_value(in_);
  return in_.ok();
}

bool is_valid_table(base::View table) { return is_valid_table_at(table, 1); }

std::optional<FieldValue> find(base::View table, std::string_view key) {
  TableReader reader(table);
  Field field;
  while (reader.next(field)) {
    if (field.key == key) return field.value;
  }
  return std::nullopt;
}

bool equal_by_value(const FieldValue& a, const FieldValue& b) { return equal_at(a, b, 0); }

std::string to_text(const FieldValue& value) {
  std::string out;
  append_text(out, value, 0);
  return out;
}

TableWriter::TableWriter(base::Writer& out, Nested) : out_(out), length_at_(open_length(out)) {}

TableWriter::~TableWriter() {
  if (length_at_) close_length(out_, *length_at_);
}

void TableWriter::key_and_type(std::string_view key, FieldType type) {
  CHECK(key.size() <= kShortstrBytesMax, "a field name longer than 255 bytes");
  write_shortstr(out_, key);
  out_.u8(static_cast<uint8_t>(type));
}

void TableWriter::put_bool(std::string_view key, bool value) {
  key_and_type(key, FieldType::kBool);
  out_.u8(value ? 1 : 0);
}

void TableWriter::put_i32(std::string_view key, int32_t value) {
  key_and_type(key, FieldType::kInt32);
  out_.i32be(value);
}

void TableWriter::put_i64(std::string_view key, int64_t value) {
  key_and_type(key, FieldType::kInt64);
  out_.i64be(value);
}

void TableWriter::put_u32(std::string_view key, uint32_t value) {
  key_and_type(key, FieldType::kUint32);
  out_.u32be(value);
}

void TableWriter::put_double(std::string_view key, double value) {
  key_and_type(key, FieldType::kDouble);
  out_.u64be(std::bit_cast<uint64_t>(value));
}

void TableWriter::put_timestamp(std::string_view key, uint64_t seconds) {
  key_and_type(key, FieldType::kTimestamp);
  out_.u64be(seconds);
}

void TableWriter::put_text(std::string_view key, std::string_view value) {
  key_and_type(key, FieldType::kLongstr);
  write_longstr(out_, value);
}

void TableWriter::put_bytes(std::string_view key, base::View value) {
  key_and_type(key, FieldType::kBytes);
  write_table(out_, value);
}

void TableWriter::put_void(std::string_view key) { key_and_type(key, FieldType::kVoid); }

void TableWriter::put_table(std::string_view key, base::View table) {
  key_and_type(key, FieldType::kTable);
  write_table(out_, table);
}

void TableWriter::put_value(std::string_view key, const FieldValue& value) {
  CHECK(key.size() <= kShortstrBytesMax, "a field name longer than 255 bytes");
  write_shortstr(out_, key);
  write_value(out_, value);
}

TableWriter TableWriter::begin_table(std::string_view key) {
  key_and_type(key, FieldType::kTable);
  return TableWriter(out_, Nested{});
}

ArrayWriter TableWriter::begin_array(std::string_view key) {
  key_and_type(key, FieldType::kArray);
  return ArrayWriter(out_);
}

ArrayWriter::ArrayWriter(base::Writer& out) : out_(out), length_at_(open_length(out)) {}

ArrayWriter::~ArrayWriter() { close_length(out_, length_at_); }

void ArrayWriter::add_text(std::string_view value) {
  write_value(out_, {.type = FieldType::kLongstr, .bytes = base::as_view(value)});
}

void ArrayWriter::add_i64(int64_t value) { write_value(out_, {.type = FieldType::kInt64, .integer = value}); }

void ArrayWriter::add_table(base::View table) { write_value(out_, {.type = FieldType::kTable, .bytes = table}); }

void ArrayWriter::add_value(const FieldValue& value) { write_value(out_, value); }

TableWriter ArrayWriter::begin_table() {
  out_.u8(static_cast<uint8_t>(FieldType::kTable));
  return TableWriter(out_, TableWriter::Nested{});
}

ArrayWriter ArrayWriter::begin_array() {
  out_.u8(static_cast<uint8_t>(FieldType::kArray));
  return ArrayWriter(out_);
}

}  // namespace polylog::amqp
