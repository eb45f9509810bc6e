// DeliveryWriter: frames a run of messages to one consumer: basic.deliver, content header, body. Small messages are laid
// out in one piece of memory and copied to the connection once; large bodies go by reference to the stored batch.
#pragma once

#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "io/net.h"
#include "protocol/amqp/batch.h"

namespace polylog::amqp {

class DeliveryWriter {
 public:
  struct Destination {
    io::OutQueue& out;
    uint16_t channel;
    uint32_t frame_max;
    std::string_view consumer_tag;
  };
  explicit DeliveryWriter(const Destination& to);
  ~DeliveryWriter() { flush(); }
  DeliveryWriter(const DeliveryWriter&) = delete;
  DeliveryWriter& operator=(const DeliveryWriter&) = delete;

  // `owner` holds the record's body, or is empty: then the body is copied.
  // False, and nothing is written: the content header does not fit a frame of this connection.
  bool add(uint64_t delivery_tag, bool redelivered, const RecordView& record, const base::Slice& owner);

 private:
  void flush();

  const Destination to_;
  std::vector<uint8_t>& frames_;  // the core's, empty between runs
};

}  // namespace polylog::amqp
