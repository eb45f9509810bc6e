// Field tables: the typed maps in method arguments, client properties and message headers. Read lazily.
//
//   table    u32 length | entry*            entry   shortstr key | value
//   array    u32 length | value*            value   type u8 | data
//
//   t bool u8    b i8   B u8   s i16   u u16   I i32   i u32   l i64   L i64   f float   d double
//   D decimal (scale u8 | i32)   T timestamp u64 s   S longstr   x bytes   A array   F table   V void
//
// These are RabbitMQ's meanings of the letters, not those of the specification. A "table view" is the entries alone,
// without the length; that is what gen/methods.h and properties.h hand out. Keys may repeat: the first one counts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/wire.h"

namespace polylog::amqp {

// How deep arrays and tables may nest, the outermost table counting as one.
inline constexpr int kTableDepthMax = 32;

enum class FieldType : uint8_t {
  kBool = 't',
  kInt8 = 'b',
  kUint8 = 'B',
  kInt16 = 's',
  kUint16 = 'u',
  kInt32 = 'I',
  kUint32 = 'i',
  kInt64 = 'l',
  kInt64Alias = 'L',
  kFloat = 'f',
  kDouble = 'd',
  kDecimal = 'D',
  kTimestamp = 'T',
  kLongstr = 'S',
  kBytes = 'x',
  kArray = 'A',
  kTable = 'F',
  kVoid = 'V',
};
const char* name_of(FieldType type);  // as RabbitMQ's error texts call it: "longstr", "signedint", ...

// Any value; `type` says which members mean something.
struct FieldValue {
  FieldType type = FieldType::kVoid;
  uint8_t scale = 0;      // kDecimal: value = integer / 10^scale
  int64_t integer = 0;    // bool, all integers, kDecimal, kTimestamp (its 64 bits as they are)
  double real = 0;        // kFloat, kDouble
  base::View bytes = {};  // kLongstr, kBytes: the string. kArray, kTable: the entries

  bool is_integer() const;  // of any width, signed or not; neither bool, decimal nor timestamp
  bool is_real() const { return type == FieldType::kFloat || type == FieldType::kDouble; }
  bool is_text() const { return type == FieldType::kLongstr; }
  std::string_view text() const { return base::as_text(bytes); }
};

struct Field {
  std::string_view key;
  FieldValue value;
};

// Walks a table view, one entry a call. Does not look into nested values.
class TableReader {
 public:
  explicit TableReader(base::View table) : in_(table) {}
  bool next(Field& field);  // false at the end and at the first malformed entry
  bool ok() const { return in_.ok(); }

 private:
  base::Reader in_;
};

class ArrayReader {
 public:
  explicit ArrayReader(base::View array) : in_(array) {}
  bool next(FieldValue& value);
  bool ok() const { return in_.ok(); }

 private:
  base::Reader in_;
};

// Every byte follows the format, nested values included, no deeper than kTableDepthMax.
bool is_valid_table(base::View table);

std::optional<FieldValue> find(base::View table, std::string_view key);

// Same meaning: integers of any width by number, float and double by number, otherwise type and content. A string never
// equals a number. Nested tables and arrays are compared in order.
bool equal_by_value(const FieldValue& a, const FieldValue& b);

// For error texts and logs: 'abc' is abc, numbers in decimal, a table as {key=value, ...}.
std::string to_text(const FieldValue& value);

class ArrayWriter;

// Appends entries to `out`. The outermost one writes a table view, nested ones their length too, when they go out of
// scope; write to a parent only after that. Keys longer than a shortstr are a programmer error.
class TableWriter {
 public:
  explicit TableWriter(base::Writer& out) : out_(out) {}
  ~TableWriter();
  TableWriter(const TableWriter&) = delete;
  TableWriter& operator=(const TableWriter&) = delete;

  void put_bool(std::string_view key, bool value);
  void put_i32(std::string_view key, int32_t value);
  void put_i64(std::string_view key, int64_t value);
  void put_u32(std::string_view key, uint32_t value);
  void put_double(std::string_view key, double value);
  void put_timestamp(std::string_view key, uint64_t seconds);
  void put_text(std::string_view key, std::string_view value);
  void put_bytes(std::string_view key, base::View value);
  void put_void(std::string_view key);
  void put_table(std::string_view key, base::View table);         // entries that exist already
  void put_value(std::string_view key, const FieldValue& value);  // in the width it came in
  TableWriter begin_table(std::string_view key);
  ArrayWriter begin_array(std::string_view key);

 private:
  friend class ArrayWriter;
  struct Nested {};
  TableWriter(base::Writer& out, Nested);
  void key_and_type(std::string_view key, FieldType type);

  base::Writer& out_;
  std::optional<size_t> length_at_;  // set for a nested table
};

class ArrayWriter {
 public:
  ~ArrayWriter();
  ArrayWriter(const ArrayWriter&) = delete;
  ArrayWriter& operator=(const ArrayWriter&) = delete;

  void add_text(std::string_view value);
  void add_i64(int64_t value);
  void add_table(base::View table);
  void add_value(const FieldValue& value);
  TableWriter begin_table();
  ArrayWriter begin_array();

 private:
  friend class TableWriter;
  explicit ArrayWriter(base::Writer& out);

  base::Writer& out_;
  size_t length_at_;
};

}  // namespace polylog::amqp
