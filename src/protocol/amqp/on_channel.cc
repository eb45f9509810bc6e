// Methods of classes channel, access, confirm and tx.
#include "protocol/amqp/commands.h"
#include "protocol/amqp/connection.h"

namespace polylog::amqp {

Outcome on_flow(Channel& channel, const ChannelFlow& m) {
  if (!m.active) return std::unexpected(not_implemented("active=false"));
  channel.answer(ChannelFlowOk{.active = true});
  return {};
}

Outcome on_channel_close(Channel& channel, const ChannelClose&) {
  channel.close_by_client();
  return {};
}

Outcome on_channel_close_ok(Channel& channel, const ChannelCloseOk&) {
  channel.close_done();
  return {};
}

Outcome on_access_request(Channel& channel, const AccessRequest&) {
  channel.answer(AccessRequestOk{.ticket = 1});
  return {};
}

Outcome on_confirm_select(Channel& channel, const ConfirmSelect& m) {
  if (Outcome outcome = channel.publisher().select_confirms(); !outcome) return outcome;
  channel.answer(ConfirmSelectOk{}, m.no_wait);
  return {};
}

Outcome on_tx_select(Channel& channel, const TxSelect&) {
  if (Outcome outcome = channel.publisher().select_tx(); !outcome) return outcome;
  channel.answer(TxSelectOk{});
  return {};
}

Outcome on_tx_commit(Channel& channel, const TxCommit&) {
  if (!channel.publisher().in_tx()) return refuse(ReplyCode::kPreconditionFailed, "channel is not transactional");
  channel.publisher().commit();
  channel.consumers().commit();
  channel.answer_with(
      [&channel] {
        if (channel.publisher().take_commit_failure()) {
          return channel.raise({ReplyCode::kPreconditionFailed, "partial tx completion"});
        }
        channel.session().send(channel.number(), TxCommitOk{});
      },
      true);
  return {};
}

Outcome on_tx_rollback(Channel& channel, const TxRollback&) {
  if (!channel.publisher().in_tx()) return refuse(ReplyCode::kPreconditionFailed, "channel is not transactional");
  channel.publisher().rollback();
  channel.consumers().rollback();
  channel.answer(TxRollbackOk{});
  return {};
}

}  // namespace polylog::amqp
