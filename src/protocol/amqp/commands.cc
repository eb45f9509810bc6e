#include "protocol/amqp/commands.h"

#include <algorithm>
#include <array>

#include "protocol/amqp/connection.h"

namespace polylog::amqp {
namespace {

std::unexpected<Fault> undecodable(MethodId id) {
  return refuse(ReplyCode::kSyntaxError, std::string("cannot decode ") + name_of(id));
}

template <typename Method, auto handler>
Outcome on_channel(Channel& channel, base::Reader& in) {
  Method method;
  if (!decode(in, method)) return undecodable(Method::kId);
  return handler(channel, method);
}

template <typename Method, auto handler>
Outcome on_connection(Session& session, base::Reader& in) {
  Method method;
  if (!decode(in, method)) return undecodable(Method::kId);
  return (session.*handler)(method);
}

template <typename Method, auto handler>
constexpr Command of_connection() {
  return {Method::kId, &on_connection<Method, handler>, nullptr};
}
template <typename Method, auto handler>
constexpr Command of_channel(bool flushes = true) {
  return {Method::kId, nullptr, &on_channel<Method, handler>, flushes};
}
constexpr bool kCollects = false;  // for `flushes`

// By id. channel.open is not here: there is no channel yet (connection.cc).
constexpr auto kCommands = std::to_array<Command>({
    of_connection<ConnectionStartOk, &Session::on_start_ok>(),
    of_connection<ConnectionTuneOk, &Session::on_tune_ok>(),
    of_connection<ConnectionOpen, &Session::on_connection_open>(),
    of_connection<ConnectionClose, &Session::on_close>(),
    of_connection<ConnectionCloseOk, &Session::on_close_ok>(),
    of_connection<ConnectionUpdateSecret, &Session::on_update_secret>(),
    of_channel<ChannelFlow, &on_flow>(),
    of_channel<ChannelClose, &on_channel_close>(),
    of_channel<ChannelCloseOk, &on_channel_close_ok>(),
    of_channel<AccessRequest, &on_access_request>(),
    of_channel<ExchangeDeclare, &on_exchange_declare>(),
    of_channel<ExchangeDelete, &on_exchange_delete>(),
    of_channel<ExchangeBind, &on_exchange_bind>(),
    of_channel<ExchangeUnbind, &on_exchange_unbind>(),
    of_channel<QueueDeclare, &on_queue_declare>(),
    of_channel<QueueBind, &on_queue_bind>(),
    of_channel<QueuePurge, &on_queue_purge>(),
    of_channel<QueueDelete, &on_queue_delete>(),
    of_channel<QueueUnbind, &on_queue_unbind>(),
    of_channel<BasicQos, &on_qos>(),
    of_channel<BasicConsume, &on_consume>(),
    of_channel<BasicCancel, &on_cancel>(),
    of_channel<BasicCancelOk, &on_cancel_ok>(kCollects),
    of_channel<BasicPublish, &on_publish>(kCollects),
    of_channel<BasicGet, &on_get>(),
    of_channel<BasicAck, &on_ack>(kCollects),
    of_channel<BasicReject, &on_reject>(kCollects),
    of_channel<BasicRecoverAsync, &on_recover_async>(),
    of_channel<BasicRecover, &on_recover>(),
    of_channel<BasicNack, &on_nack>(kCollects),
    of_channel<ConfirmSelect, &on_confirm_select>(),
    of_channel<TxSelect, &on_tx_select>(),
    of_channel<TxCommit, &on_tx_commit>(),
    of_channel<TxRollback, &on_tx_rollback>(),
});
static_assert(std::ranges::is_sorted(kCommands, {}, &Command::id));

}  // namespace

const Command* find_command(MethodId id) {
  const auto found = std::ranges::lower_bound(kCommands, id, {}, &Command::id);
  return found != kCommands.end() && found->id == id ? &*found : nullptr;
}

}  // namespace polylog::amqp
