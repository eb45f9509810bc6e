// AMQP 0-9-1 messages <-> the neutral HubMessage, for readers and writers of other wire formats. The table:
//
//   basic property / header                   HubMessage
//   ---------------------------------------   ---------------------------------------------------------------
//   body                                      body; empty stays empty
//   header x-polylog-null-body = true         body: none (a tombstone); both ways, with an empty AMQP body
//   header x-polylog-key (longstr or bytes)   key; towards AMQP longstr if it is UTF-8, else bytes
//   routing key                               subject
//   timestamp, seconds                        timestamp, ms (towards AMQP rounded down); without one: when it arrived
//   expiration, decimal ms                    time_to_live_ms
//   delivery-mode 2 / 1                       durable true / false
//   priority, message-id, correlation-id, reply-to, content-type, content-encoding, type, user-id, app-id: themselves
//   cluster-id                                header cluster-id, text
//
//   header value, AMQP -> hub                 hub -> AMQP
//   S longstr          text                   text              S
//   t bool             bool                   bool              t
//   b B s u I i l L    int64                  int64             l
//   f d                double                 double            d
//   T seconds          time, ms               time              T, rounded down
//   x bytes            binary                 binary            x
//   V void             nothing                nothing           V
//   D decimal          text, "1.23"
//   A array, F table   text, {key=value, ...}
//
// Towards AMQP: a text property over 255 bytes becomes header x-<property>, a header name over 255 bytes is cut.
#pragma once

#include <string>

#include "base/wire.h"
#include "broker/encoding.h"
#include "protocol/amqp/batch.h"

namespace polylog::amqp {

class AmqpEncoding final : public broker::Encoding {
 public:
  void place(base::MutView head, base::Offset base, base::Epoch epoch) const override;
  base::Result<> to_hub(base::View batch, base::Offset base, const Visit& visit) const override;
  Built from_hub(std::span<const broker::HubMessage> messages, base::WallTime now) const override;
};

broker::HubMessage to_hub(const RecordView& record);

// Writes property bytes for a message of another format. Its body is message.body, or empty.
void encode_properties(base::Writer& out, const broker::HubMessage& message);

// `properties` with one more header, x-stream-offset: what a reader of a stream gets.
void encode_with_stream_offset(base::Writer& out, base::View properties, base::Offset offset);

}  // namespace polylog::amqp
