#include "protocol/amqp/batch.h"

#include "base/check.h"
#include "protocol/amqp/properties.h"
#include "protocol/amqp/strings.h"

namespace polylog::amqp {
namespace {

template <typename T>
T load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <typename T>
uint8_t* store(uint8_t* at, T value) {
  std::memcpy(at, &value, sizeof value);
  return at + sizeof value;
}

uint8_t* store_bytes(uint8_t* at, base::View bytes) {
  if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
  return at + bytes.size();
}

RecordView read_record(const uint8_t* at) {
  RecordView record;
  record.arrived = {load<int64_t>(at)};
  const uint64_t body_bytes = load<uint64_t>(at + 8);
  const uint32_t property_bytes = load<uint32_t>(at + 16);
  const uint8_t exchange_bytes = at[20], key_bytes = at[21];
  const uint8_t* next = at + kRecordHeadBytes;
  record.exchange = base::as_text({next, exchange_bytes});
  next += exchange_bytes;
  record.routing_key = base::as_text({next, key_bytes});
  next += key_bytes;
  record.properties = {next, property_bytes};
  next += property_bytes;
  record.body = {next, body_bytes};
  return record;
}

// Whether the record that begins at `start` ends before `end`, without overflow on any length.
bool record_fits(base::View batch, size_t start, size_t end) {
  if (start < kBatchHeadBytes || end < kRecordHeadBytes || start > end - kRecordHeadBytes) return false;
  const uint8_t* at = batch.data() + start;
  const size_t room = end - start - kRecordHeadBytes;
  const size_t names = size_t{load<uint32_t>(at + 16)} + at[20] + at[21];
  return names <= room && load<uint64_t>(at + 8) <= room - names;
}

}  // namespace

void BatchBuilder::clear() {
  buffer_.resize(kBatchHeadBytes);
  starts_.clear();
}

void BatchBuilder::add(const RecordView& record) {
  CHECK(record.exchange.size() <= kShortstrBytesMax && record.routing_key.size() <= kShortstrBytesMax,
        "names too long");
  const size_t start = buffer_.size();
  starts_.push_back(static_cast<uint32_t>(start));
  buffer_.resize(start + kRecordHeadBytes + record.exchange.size() + record.routing_key.size() +
                 record.properties.size() + record.body.size());
  uint8_t* at = buffer_.data() + start;
  at = store(at, record.arrived.ms);
  at = store(at, uint64_t{record.body.size()});
  at = store(at, static_cast<uint32_t>(record.properties.size()));
  at = store(at, static_cast<uint8_t>(record.exchange.size()));
  at = store(at, static_cast<uint8_t>(record.routing_key.size()));
  at = store_bytes(at, base::as_view(record.exchange));
  at = store_bytes(at, base::as_view(record.routing_key));
  at = store_bytes(at, record.properties);
  store_bytes(at, record.body);
}

base::View BatchBuilder::finish() {
  const size_t table_at = buffer_.size();
  buffer_.resize(table_at + starts_.size() * sizeof(uint32_t));
  std::memcpy(buffer_.data() + table_at, starts_.data(), starts_.size() * sizeof(uint32_t));
  uint8_t* head = buffer_.data();
  head = store(head, kBatchVersion);
  head = store(head, count());
  head = store(head, static_cast<uint32_t>(table_at));
  store(head, uint32_t{0});
  return buffer_;
}

BatchView::BatchView(base::View batch)
    : batch_(batch), count_(load<uint32_t>(batch.data() + 4)), table_at_(load<uint32_t>(batch.data() + 8)) {}

bool BatchView::validate(base::View batch) {
  if (batch.size() < kBatchHeadBytes || load<uint32_t>(batch.data()) != kBatchVersion) return false;
  const size_t count = load<uint32_t>(batch.data() + 4), table_at = load<uint32_t>(batch.data() + 8);
  if (table_at < kBatchHeadBytes || table_at > batch.size()) return false;
  if (batch.size() - table_at != count * sizeof(uint32_t)) return false;
  for (size_t i = 0; i < count; ++i) {
    const size_t start = load<uint32_t>(batch.data() + table_at + i * sizeof(uint32_t));
    if (!record_fits(batch, start, table_at)) return false;
    if (!PropertiesView::parse(read_record(batch.data() + start).properties)) return false;
  }
  return true;
}

RecordView BatchView::record(uint32_t index) const {
  CHECK(index < count_, "no such record in the batch");
  return read_record(batch_.data() + load<uint32_t>(batch_.data() + table_at_ + index * sizeof(uint32_t)));
}

}  // namespace polylog::amqp
