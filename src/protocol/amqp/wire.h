// Frames and protocol headers of AMQP 0-9-1: bytes <-> structs. Does not know which frame may follow which: the session
// does. Views borrow the input.
//
//   0      1         3           7             7+size
//   +------+---------+-----------+-------------+------+
//   | type | channel | size      | payload     | 0xCE |      all integers big-endian
//   | u8   | u16     | u32       | size bytes  |      |
//   +------+---------+-----------+-------------+------+
//
//   method payload   class u16 | method u16 | arguments (gen/methods.h)
//   header payload   class u16 | weight u16 | body size u64 | flags | properties (properties.h)
//   body payload     a part of the body; frames are as long as frame_max allows
//   heartbeat        empty payload, channel 0
//
// frame_max counts the whole frame, its 8 bytes of framing included. Clients miscount: up to 8 bytes more are accepted.
//
//   protocol header  'A' 'M' 'Q' 'P' | 4 bytes      the first thing a client sends
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/wire.h"
#include "io/net.h"
#include "protocol/amqp/gen/method_id.h"

namespace polylog::amqp {

enum class FrameType : uint8_t { kMethod = 1, kHeader = 2, kBody = 3, kHeartbeat = 8 };

inline constexpr size_t kFrameHeadBytes = 7;
inline constexpr size_t kFrameOverheadBytes = kFrameHeadBytes + 1;
inline constexpr size_t kFrameFudgeBytes = 8;
inline constexpr uint8_t kFrameEnd = 0xCE;
inline constexpr uint32_t kFrameBytesMaxDefault = 131'072;  // what we offer in connection.tune
inline constexpr uint32_t kFrameBytesMaxMin = 4'096;        // the least a peer may ask for
// Ceiling on any frame, whatever was negotiated (a frame_max of 0 means "no limit").
inline constexpr size_t kFrameBytesCeiling = base::limits::kBatchBytesMax;
static_assert(kFrameBytesMaxDefault <= kFrameBytesCeiling);

struct FrameView {
  FrameType type = FrameType::kMethod;
  uint16_t channel = 0;
  base::View payload = {};
  size_t total_bytes() const { return payload.size() + kFrameOverheadBytes; }
};

// All of them are answered with FRAME_ERROR (501).
enum class FrameError : uint8_t { kNone, kUnknownType, kTooLarge, kBadEnd };
const char* text_of(FrameError error);

struct FrameRead {
  enum class Status : uint8_t { kFrame, kNeedMore, kError };
  Status status = Status::kNeedMore;
  FrameError error = FrameError::kNone;
  FrameView frame = {};
  size_t wanted_bytes = 0;  // kNeedMore: from the first byte of the frame on; never more than frame_max and the fudge
};

// Reads the frame at the beginning of `bytes`. frame_max 0 = no limit but the ceiling.
FrameRead read_frame(base::View bytes, uint32_t frame_max);

// Method id at the beginning of a method frame's payload; `in` then stands at the arguments. Check in.ok(), is_known().
inline MethodId read_method_id(base::Reader& in) { return static_cast<MethodId>(in.u32be()); }

enum class Greeting : uint8_t {
  kNeedMore,
  kAmqp091,      // AMQP 0 0 9 1, and AMQP 1 1 0 9 of old 0-9 clients, who are served the same
  kAmqp10,       // AMQP 0 1 0 0
  kAmqp10Tls,    // AMQP 2 1 0 0
  kAmqp10Sasl,   // AMQP 3 1 0 0
  kAmqpUnknown,  // AMQP and a version nobody speaks: answer with ours and close
  kHttp,
  kTls,
  kOther,
};
inline constexpr size_t kProtocolHeaderBytes = 8;

// Decides as early as the bytes allow. Only the AMQP kinds consume kProtocolHeaderBytes.
Greeting recognize_greeting(base::View bytes);
const char* name_of(Greeting greeting);

base::View protocol_header_091();      // to refuse a version we do not speak
base::View protocol_header_10_sasl();  // to refuse 1.0 without SASL

// --- writing, into a Writer

// open_frame(); payload; close_frame(): the size is filled in afterwards.
size_t open_frame(base::Writer& out, FrameType type, uint16_t channel);
void close_frame(base::Writer& out, size_t opened_at);

template <typename Method>
void write_method(base::Writer& out, uint16_t channel, const Method& method) {
  const size_t at = open_frame(out, FrameType::kMethod, channel);
  encode(out, method);
  close_frame(out, at);
}
// `properties`: flags and property list as properties.h has them, e.g. as the publisher sent them.
// A header frame cannot be split: whoever relays one to a peer with a smaller frame_max checks its size first.
void write_content_header(base::Writer& out, uint16_t channel, uint64_t body_size, base::View properties);
constexpr size_t content_header_frame_bytes(base::View properties) {
  return kFrameOverheadBytes + 2 + 2 + 8 + properties.size();
}
// Nothing for an empty body. frame_max as negotiated: 0, or large enough for a byte of body.
void write_body(base::Writer& out, uint16_t channel, base::View body, uint32_t frame_max);
void write_heartbeat(base::Writer& out);

// --- writing, into a connection's queue: small things copied, the body by reference. `scratch` is cleared and reused.

void write_body(io::OutQueue& out, uint16_t channel, const base::Slice& body, uint32_t frame_max);

template <typename Method>
void write_method(io::OutQueue& out, base::Writer& scratch, uint16_t channel, const Method& method) {
  scratch.clear();
  write_method(scratch, channel, method);
  out.write(scratch.view());
}

// Method, content header and body of one message: basic.deliver, get-ok, return.
template <typename Method>
void write_message(io::OutQueue& out, base::Writer& scratch, uint16_t channel, const Method& method,
                   base::View properties, const base::Slice& body, uint32_t frame_max) {
  scratch.clear();
  write_method(scratch, channel, method);
  write_content_header(scratch, channel, body.size(), properties);
  out.write(scratch.view());
  write_body(out, channel, body, frame_max);
}

}  // namespace polylog::amqp
