#include "protocol/amqp/wire.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace polylog::amqp {
namespace {

constexpr std::array<uint8_t, 8> kHeader091 = {'A', 'M', 'Q', 'P', 0, 0, 9, 1};
constexpr std::array<uint8_t, 8> kHeader09 = {'A', 'M', 'Q', 'P', 1, 1, 0, 9};
constexpr std::array<uint8_t, 8> kHeader10 = {'A', 'M', 'Q', 'P', 0, 1, 0, 0};
constexpr std::array<uint8_t, 8> kHeader10Tls = {'A', 'M', 'Q', 'P', 2, 1, 0, 0};
constexpr std::array<uint8_t, 8> kHeader10Sasl = {'A', 'M', 'Q', 'P', 3, 1, 0, 0};

constexpr std::string_view kHttpMethods[] = {"GET ",     "POST ",    "PUT ",   "HEAD ", "DELETE ",
                                             "OPTIONS ", "CONNECT ", "PATCH ", "PRI "};
constexpr uint8_t kTlsHandshakeRecord = 0x16;
constexpr uint8_t kTlsMajorVersion = 0x03;

FrameRead failed(FrameError error) { return {.status = FrameRead::Status::kError, .error = error}; }
FrameRead need_more(size_t wanted) { return {.status = FrameRead::Status::kNeedMore, .wanted_bytes = wanted}; }

bool is_known(FrameType type) {
  switch (type) {
    case FrameType::kMethod:
    case FrameType::kHeader:
    case FrameType::kBody:
    case FrameType::kHeartbeat: return true;
  }
  return false;
}

size_t payload_bytes_max(uint32_t frame_max) {
  if (frame_max == 0) return kFrameBytesCeiling - kFrameOverheadBytes;
  const size_t total = std::min<size_t>(size_t{frame_max} + kFrameFudgeBytes, kFrameBytesCeiling);
  return total < kFrameOverheadBytes ? 0 : total - kFrameOverheadBytes;
}

// How much body one of our own frames carries. No fudge, and no giant frames for a peer without a limit.
size_t body_bytes_max(uint32_t frame_max) {
  CHECK(frame_max == 0 || frame_max > kFrameOverheadBytes, "frame_max leaves no room for a body");
  return (frame_max == 0 ? kFrameBytesMaxDefault : frame_max) - kFrameOverheadBytes;
}

std::array<uint8_t, kFrameHeadBytes> frame_head(FrameType type, uint16_t channel, uint32_t size) {
  return {static_cast<uint8_t>(type),       static_cast<uint8_t>(channel >> 8), static_cast<uint8_t>(channel),
          static_cast<uint8_t>(size >> 24), static_cast<uint8_t>(size >> 16),   static_cast<uint8_t>(size >> 8),
          static_cast<uint8_t>(size)};
}

Greeting recognize_amqp(base::View header) {
  if (base::equal(header, kHeader091) || base::equal(header, kHeader09)) return Greeting::kAmqp091;
  if (base::equal(header, kHeader10)) return Greeting::kAmqp10;
  if (base::equal(header, kHeader10Tls)) return Greeting::kAmqp10Tls;
  if (base::equal(header, kHeader10Sasl)) return Greeting::kAmqp10Sasl;
  return Greeting::kAmqpUnknown;
}

Greeting recognize_http(std::string_view text) {
  bool possible = false;
  for (std::string_view method : kHttpMethods) {
    if (text.starts_with(method)) return Greeting::kHttp;
    possible |= method.starts_with(text);
  }
  return possible ? Greeting::kNeedMore : Greeting::kOther;
}

}  // namespace

const char* text_of(FrameError error) {
  switch (error) {
    case FrameError::kNone: return "no error";
    case FrameError::kUnknownType: return "unknown frame type";
    case FrameError::kTooLarge: return "frame too large";
    case FrameError::kBadEnd: return "invalid frame end marker";
  }
  return "unknown";
}

FrameRead read_frame(base::View bytes, uint32_t frame_max) {
  if (bytes.empty()) return need_more(kFrameOverheadBytes);
  const auto type = static_cast<FrameType>(bytes[0]);
  if (!is_known(type)) return failed(FrameError::kUnknownType);
  if (bytes.size() < kFrameHeadBytes) return need_more(kFrameOverheadBytes);

  base::Reader in(bytes.subspan(1));
  const uint16_t channel = in.u16be();
  const uint32_t size = in.u32be();
  if (size > payload_bytes_max(frame_max)) return failed(FrameError::kTooLarge);
  if (in.remaining() < size_t{size} + 1) return need_more(size_t{size} + kFrameOverheadBytes);
  const base::View payload = in.bytes(size);
  if (in.u8() != kFrameEnd) return failed(FrameError::kBadEnd);
  return {.status = FrameRead::Status::kFrame, .frame = {.type = type, .channel = channel, .payload = payload}};
}

Greeting recognize_greeting(base::View bytes) {
  if (bytes.empty()) return Greeting::kNeedMore;
  const base::View magic = base::View(kHeader091).first(std::min<size_t>(bytes.size(), 4));
  if (base::equal(bytes.first(magic.size()), magic)) {
    if (bytes.size() < kProtocolHeaderBytes) return Greeting::kNeedMore;
    return recognize_amqp(bytes.first(kProtocolHeaderBytes));
  }
  if (bytes[0] == kTlsHandshakeRecord) {
    if (bytes.size() < 2) return Greeting::kNeedMore;
    return bytes[1] == kTlsMajorVersion ? Greeting::kTls : Greeting::kOther;
  }
  return recognize_http(base::as_text(bytes));
}

const char* name_of(Greeting greeting) {
  switch (greeting) {
    case Greeting::kNeedMore: return "incomplete";
    case Greeting::kAmqp091: return "AMQP 0-9-1";
    case Greeting::kAmqp10: return "AMQP 1.0";
    case Greeting::kAmqp10Tls: return "AMQP 1.0 with TLS";
    case Greeting::kAmqp10Sasl: return "AMQP 1.0 with SASL";
    case Greeting::kAmqpUnknown: return "unknown AMQP version";
    case Greeting::kHttp: return "HTTP";
    case Greeting::kTls: return "TLS";
    case Greeting::kOther: return "unknown protocol";
  }
  return "unknown";
}

base::View protocol_header_091() { return kHeader091; }
base::View protocol_header_10_sasl() { return kHeader10Sasl; }

size_t open_frame(base::Writer& out, FrameType type, uint16_t channel) {
  const size_t at = out.size();
  out.bytes(frame_head(type, channel, 0));
  return at;
}

void close_frame(base::Writer& out, size_t opened_at) {
  out.patch_u32be(opened_at + 3, static_cast<uint32_t>(out.size() - opened_at - kFrameHeadBytes));
  out.u8(kFrameEnd);
}

void write_content_header(base::Writer& out, uint16_t channel, uint64_t body_size, base::View properties) {
  const size_t at = open_frame(out, FrameType::kHeader, channel);
  out.u16be(class_id_of(MethodId::kBasicPublish));
  out.u16be(0);
  out.u64be(body_size);
  out.bytes(properties);
  close_frame(out, at);
}

void write_body(base::Writer& out, uint16_t channel, base::View body, uint32_t frame_max) {
  const size_t part_max = body_bytes_max(frame_max);
  while (!body.empty()) {
    const base::View part = body.first(std::min(body.size(), part_max));
    out.bytes(frame_head(FrameType::kBody, channel, static_cast<uint32_t>(part.size())));
    out.bytes(part);
    out.u8(kFrameEnd);
    body = body.subspan(part.size());
  }
}

void write_heartbeat(base::Writer& out) {
  out.bytes(frame_head(FrameType::kHeartbeat, 0, 0));
  out.u8(kFrameEnd);
}

void write_body(io::OutQueue& out, uint16_t channel, const base::Slice& body, uint32_t frame_max) {
  const size_t part_max = body_bytes_max(frame_max);
  for (size_t at = 0; at < body.size();) {
    const size_t size = std::min(body.size() - at, part_max);
    out.write(frame_head(FrameType::kBody, channel, static_cast<uint32_t>(size)));
    out.append(body.sub(at, size));
    out.write({&kFrameEnd, 1});
    at += size;
  }
}

}  // namespace polylog::amqp
