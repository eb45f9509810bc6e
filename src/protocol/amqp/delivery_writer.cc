#include "protocol/amqp/delivery_writer.h"

#include "protocol/amqp/gen/method_id.h"
#include "protocol/amqp/wire.h"

namespace polylog::amqp {
namespace {

constexpr size_t kReferenceBytesMin = 4 * base::limits::kKiB;  // below this a copy is cheaper than one more piece
constexpr size_t kFramesBytesMax = 64 * base::limits::kKiB;    // then they are handed over
constexpr size_t kHeaderFixedBytes = 2 + 2 + 8;

std::vector<uint8_t>& frames_of_core() {
  thread_local std::vector<uint8_t> frames;
  return frames;
}

template <typename T>
uint8_t* put(uint8_t* at, T big_endian) {
  std::memcpy(at, &big_endian, sizeof big_endian);
  return at + sizeof big_endian;
}
uint8_t* put_u8(uint8_t* at, uint8_t v) { return put(at, v); }
uint8_t* put_u16(uint8_t* at, uint16_t v) { return put(at, __builtin_bswap16(v)); }
uint8_t* put_u32(uint8_t* at, uint32_t v) { return put(at, __builtin_bswap32(v)); }
uint8_t* put_u64(uint8_t* at, uint64_t v) { return put(at, __builtin_bswap64(v)); }
uint8_t* put_bytes(uint8_t* at, base::View v) {
  if (!v.empty()) std::memcpy(at, v.data(), v.size());
  return at + v.size();
}
uint8_t* put_shortstr(uint8_t* at, std::string_view v) {
  return put_bytes(put_u8(at, static_cast<uint8_t>(v.size())), base::as_view(v));
}
uint8_t* put_head(uint8_t* at, FrameType type, uint16_t channel, size_t size) {
  at = put_u8(at, static_cast<uint8_t>(type));
  at = put_u16(at, channel);
  return put_u32(at, static_cast<uint32_t>(size));
}

}  // namespace

DeliveryWriter::DeliveryWriter(const Destination& to) : to_(to), frames_(frames_of_core()) {}

bool DeliveryWriter::add(uint64_t delivery_tag, bool redelivered, const RecordView& record, const base::Slice& owner) {
  const size_t header_bytes = kHeaderFixedBytes + record.properties.size();
  if (to_.frame_max != 0 && header_bytes + kFrameOverheadBytes > to_.frame_max) return false;
  const size_t method_bytes =
      4 + 1 + to_.consumer_tag.size() + 8 + 1 + 1 + record.exchange.size() + 1 + record.routing_key.size();
  const bool one_frame = to_.frame_max == 0 || record.body.size() + kFrameOverheadBytes <= to_.frame_max;
  const bool inlined = one_frame && (owner.empty() || record.body.size() < kReferenceBytesMin);
  const size_t body_frame_bytes = inlined && !record.body.empty() ? record.body.size() + kFrameOverheadBytes : 0;
  const size_t start = frames_.size();
  frames_.resize(start + method_bytes + header_bytes + 2 * kFrameOverheadBytes + body_frame_bytes);

  uint8_t* at = put_head(frames_.data() + start, FrameType::kMethod, to_.channel, method_bytes);
  at = put_u32(at, static_cast<uint32_t>(MethodId::kBasicDeliver));
  at = put_shortstr(at, to_.consumer_tag);
  at = put_u64(at, delivery_tag);
  at = put_u8(at, redelivered ? 1 : 0);
  at = put_shortstr(at, record.exchange);
  at = put_shortstr(at, record.routing_key);
  at = put_u8(at, kFrameEnd);

  at = put_head(at, FrameType::kHeader, to_.channel, header_bytes);
  at = put_u32(at, uint32_t{class_id_of(MethodId::kBasicDeliver)} << 16);  // and weight 0
  at = put_u64(at, record.body.size());
  at = put_bytes(at, record.properties);
  at = put_u8(at, kFrameEnd);

  if (body_frame_bytes > 0) {
    at = put_head(at, FrameType::kBody, to_.channel, record.body.size());
    at = put_bytes(at, record.body);
    put_u8(at, kFrameEnd);
  } else if (!record.body.empty()) {
    flush();
    const base::Slice body =
        owner.empty() ? base::Slice::copy_of(record.body)
                      : owner.sub(static_cast<size_t>(record.body.data() - owner.data()), record.body.size());
    write_body(to_.out, to_.channel, body, to_.frame_max);
  }
  if (frames_.size() > kFramesBytesMax) flush();
  return true;
}

void DeliveryWriter::flush() {
  to_.out.write(frames_);
  frames_.clear();
}

}  // namespace polylog::amqp
