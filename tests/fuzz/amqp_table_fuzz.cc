// Field tables: a valid one is written back byte for byte and equals itself; queue arguments never trip over any table.
#include <cmath>
#include <cstdlib>

#include "protocol/amqp/arguments.h"
#include "protocol/amqp/field_table.h"

namespace polylog::amqp {
namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

// Two encodings lose bits on the way through a double or a bool: signalling NaNs and booleans other than 0 and 1.
bool keeps_its_bytes(const FieldValue& value) {
  return value.type != FieldType::kBool && !(value.is_real() && std::isnan(value.real));
}

void check_fields(base::View table) {
  TableReader reader(table);
  for (Field field; reader.next(field);) {
    base::Writer out;
    TableWriter(out).put_value(field.key, field.value);
    const auto again = find(out.view(), field.key);
    require(again.has_value());
    require(again->type == field.value.type);
    if (keeps_its_bytes(field.value)) require(base::equal(again->bytes, field.value.bytes));
    to_text(field.value);
  }
}

void check_arguments(base::View table) {
  for (QueueType type : {QueueType::kClassic, QueueType::kQuorum, QueueType::kStream}) {
    check_queue_arguments("queue 'q' in vhost '/'", type, {.durable = true}, table);
    equivalent_arguments("queue 'q' in vhost '/'", type, table, {});
  }
}

}  // namespace
}  // namespace polylog::amqp

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace polylog;
  const base::View table(data, size);
  const bool valid = amqp::is_valid_table(table);
  amqp::check_fields(table);
  amqp::check_arguments(table);
  const amqp::FieldValue value{.type = amqp::FieldType::kTable, .bytes = table};
  const bool equal = amqp::equal_by_value(value, value);
  if (!valid && equal) std::abort();
  return 0;
}
