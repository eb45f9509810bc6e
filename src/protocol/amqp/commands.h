// The one table of methods a client may send: who handles each, and where it may come.
#pragma once

#include "base/wire.h"
#include "protocol/amqp/channel.h"
#include "protocol/amqp/errors.h"

namespace polylog::amqp {

struct Command {
  using OnConnection = Outcome (*)(Session&, base::Reader&);
  using OnChannel = Outcome (*)(Channel&, base::Reader&);
  MethodId id;
  OnConnection on_connection = nullptr;  // comes on channel 0
  OnChannel on_channel = nullptr;        // comes on an open channel
  // Collected acks and publishes go to the engine first, so that it sees everything in order.
  bool flushes = true;
};

const Command* find_command(MethodId id);  // nothing: a client may not send it

// --- handlers, by file
// on_queue.cc
Outcome on_queue_declare(Channel& channel, const QueueDeclare& m);
Outcome on_queue_delete(Channel& channel, const QueueDelete& m);
Outcome on_queue_purge(Channel& channel, const QueuePurge& m);
Outcome on_queue_bind(Channel& channel, const QueueBind& m);
Outcome on_queue_unbind(Channel& channel, const QueueUnbind& m);
// on_exchange.cc
Outcome on_exchange_declare(Channel& channel, const ExchangeDeclare& m);
Outcome on_exchange_delete(Channel& channel, const ExchangeDelete& m);
Outcome on_exchange_bind(Channel& channel, const ExchangeBind& m);
Outcome on_exchange_unbind(Channel& channel, const ExchangeUnbind& m);
// on_basic.cc
Outcome on_qos(Channel& channel, const BasicQos& m);
Outcome on_consume(Channel& channel, const BasicConsume& m);
Outcome on_cancel(Channel& channel, const BasicCancel& m);
Outcome on_cancel_ok(Channel& channel, const BasicCancelOk& m);
Outcome on_publish(Channel& channel, const BasicPublish& m);
Outcome on_get(Channel& channel, const BasicGet& m);
Outcome on_ack(Channel& channel, const BasicAck& m);
Outcome on_nack(Channel& channel, const BasicNack& m);
Outcome on_reject(Channel& channel, const BasicReject& m);
Outcome on_recover(Channel& channel, const BasicRecover& m);
Outcome on_recover_async(Channel& channel, const BasicRecoverAsync& m);
// on_channel.cc
Outcome on_flow(Channel& channel, const ChannelFlow& m);
Outcome on_channel_close(Channel& channel, const ChannelClose& m);
Outcome on_channel_close_ok(Channel& channel, const ChannelCloseOk& m);
Outcome on_access_request(Channel& channel, const AccessRequest& m);
Outcome on_confirm_select(Channel& channel, const ConfirmSelect& m);
Outcome on_tx_select(Channel& channel, const TxSelect& m);
Outcome on_tx_commit(Channel& channel, const TxCommit& m);
Outcome on_tx_rollback(Channel& channel, const TxRollback& m);

}  // namespace polylog::amqp
