// TCP as the layers above see it: a Handler is fed bytes and fills an OutQueue; it never sees a socket.
//
// Reading: the core's one shared buffer is filled and shown to the handler; what it does not consume moves to a private
// buffer that grows only as bytes arrive (a claimed length allocates nothing) and is dropped when empty.
// Writing: everything queued in a turn leaves in one writev at the turn's end. TCP_NODELAY is always on.
// A connection lives on the core that accepted it. Not for: TLS yet, datagrams.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/result.h"
#include "io/disk.h"

namespace polylog::io {

// Bytes on their way to one peer, in order: small things are copied together, slices go by reference.
class OutQueue {
 public:
  void write(base::View bytes);    // copies
  void append(base::Slice slice);  // by reference; below kCopyBytesMax it is copied instead
  void append(FileSpan span);      // sent from the file; joins the one before it where that ends there
  size_t queued_bytes() const { return queued_bytes_; }
  bool empty() const { return queued_bytes_ == 0; }

  // For the connection: the first pieces to send up to the next span, or that span if it comes first; and what was sent.
  size_t gather(std::vector<base::View>& pieces, size_t pieces_max, size_t bytes_max = SIZE_MAX) const;
  std::optional<FileSpan> next_span() const;
  void sent(size_t bytes);

 private:
  static constexpr size_t kCopyBytesMax = 512;
  struct Piece {
    base::Slice slice;  // empty when the bytes are in `copied`
    std::vector<uint8_t> copied;
    FileSpan span;  // instead of either
    base::View view() const { return slice.empty() ? base::View(copied) : slice.view(); }
    size_t size() const { return span.bytes > 0 ? span.bytes : view().size(); }
  };
  std::vector<Piece> pieces_;
  size_t first_ = 0;       // pieces_[first_] is the next to send
  size_t first_sent_ = 0;  // bytes of it already sent
  size_t queued_bytes_ = 0;
};

class Connection;

class Handler {
 public:
  virtual ~Handler() = default;
  struct Taken {
    size_t consumed_bytes = 0;
    size_t wanted_bytes = 0;  // total bytes the next frame needs from the first unconsumed byte on; 0 = unknown
  };
  virtual void on_open(Connection& connection) = 0;
  virtual Taken on_bytes(base::View bytes) = 0;
  // The first frame that on_bytes() left is half done and holds memory: it is shown again even while the peer reads
  // nothing.
  virtual bool holds_frame() const { return false; }
  virtual void on_drained() {}  // queued output fell to zero after having been above it at a turn's end
  virtual void on_closed(std::string_view why) = 0;  // last call; the connection is gone after it
};

class Connection {
 public:
  virtual ~Connection() = default;
  virtual OutQueue& out() = 0;
  virtual void flush_at_turn_end() = 0;  // call after writing to out()
  virtual void pause_reading() = 0;      // nested pauses do not count: one resume suffices
  virtual void resume_reading() = 0;     // also re-offers bytes left unconsumed
  virtual void close_after_flush() = 0;  // stops reading, sends what is queued, then closes (within a bounded time)
  virtual void close_now() = 0;          // on_closed() follows before this turn ends
  virtual const std::string& peer() const = 0;  // "127.0.0.1:4711"
  virtual bool peer_is_loopback() const = 0;
};

struct Endpoint {
  std::string host;
  uint16_t port = 0;
};
// "127.0.0.1:9092", "[::1]:0", "localhost:9092"
base::Result<Endpoint> parse_endpoint(std::string_view text);

class Listener {
 public:
  virtual ~Listener() = default;  // stops accepting
  virtual uint16_t port() const = 0;
};
using HandlerFactory = std::function<std::unique_ptr<Handler>()>;

}  // namespace polylog::io
