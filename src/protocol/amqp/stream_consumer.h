// StreamConsumer: reads a stream from an offset on for one consumer. Credit is the prefetch count: an ack lets one more
// message out. One read is under way at a time; what it brought is sent as credit allows.
//
//   locate (an offset for "first", a time, ...) ─► read ─► send ... ─► read ─► nothing there: wait for Readable ─► read
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "broker/actions.h"
#include "protocol/amqp/errors.h"
#include "protocol/amqp/field_table.h"

namespace polylog::amqp {

class Channel;
struct Consumer;

inline constexpr uint32_t kStreamReadBytes = 1 * base::limits::kMiB;

// Where to begin, from x-stream-offset.
struct StreamStart {
  enum class What : uint8_t { kFirst, kLast, kNext, kOffset, kTime } what = What::kNext;
  int64_t value = 0;  // kOffset: the offset; kTime: ms
};
std::expected<StreamStart, Fault> parse_stream_start(std::string_view object, base::View arguments, base::WallTime now);

class StreamConsumer {
 public:
  StreamConsumer(Channel& channel, Consumer& consumer, uint32_t credit);

  // Begins to deliver at `from`; with `whole_batch` at the beginning of the batch that holds it.
  void start(base::Offset from, bool whole_batch);
  void on_read(broker::ReadDone& done);
  void on_readable();
  void add_credit(uint32_t count);
  void pump();
  void stop();  // forgets the watch

 private:
  void read();
  Outcome send_batch(const broker::ReadBatch& batch);
  bool may_send() const;

  Channel& channel_;
  Consumer& consumer_;
  std::vector<broker::ReadBatch> batches_;  // read, not sent completely
  size_t batch_ = 0;                        // the next of them
  base::Offset next_;
  base::Offset asked_;  // nothing below this is sent
  uint32_t credit_;
  bool whole_batch_ = false;
  bool started_ = false;
  bool reading_ = false;  // a ReadDone or a Readable is to come
  bool pumping_ = false;
};

}  // namespace polylog::amqp
