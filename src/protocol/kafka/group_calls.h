// What the handlers of groups share: asking a group's cell, and asking several cells for one reply.
//
//   ask_group<broker::SyncReply>(call, cell, broker::SyncRequest{...}, [call](broker::SyncReply& reply) { ... });
//
//   auto gather = std::make_shared<Gather<DeleteGroupsResponse>>(call);
//   gather->ask<broker::DeleteGroupsReply>(cell, request, [](DeleteGroupsResponse& response, auto& reply) { ... });
//   gather->reply_if_answered();
//
// A closed cell must not be asked: open_cell_of_group() says which can.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>

#include "protocol/kafka/error_codes.h"
#include "protocol/kafka/session.h"

namespace polylog::kafka {

// nullopt: the cell is closed, and the group's requests are answered with kGroupUnavailable.
inline std::optional<base::CellId> open_cell_of_group(const broker::Broker& broker, std::string_view group) {
  const base::CellId cell = broker.cell_of_group(group);
  if (broker.epoch_of(cell).value == 0) return std::nullopt;
  return cell;
}
// "/127.0.0.1": a peer without the port, and with the slash that tools expect.
inline std::string host_of(const std::string& peer) { return "/" + peer.substr(0, peer.rfind(':')); }
inline constexpr ErrorCode kGroupUnavailable = ErrorCode::kCoordinatorNotAvailable;  // clients ask again

template <typename Reply, typename Request, std::invocable<Reply&> Then>
void ask_group(const Call& call, base::CellId cell, Request request, Then then) {
  auto unpack = [then = std::move(then)](broker::GroupReply& reply) mutable { then(std::get<Reply>(reply)); };
  call.broker().submit(cell, call.when<broker::GroupReply>(std::move(unpack)),
                       broker::GroupRequest{std::move(request)});
}

// Sends questions, hands each answer to the function that came with it, and replies after the last one. For requests
// that are not asked often: each answer costs an allocation.
template <typename Response>
class Gather final : public PendingCall {
 public:
  explicit Gather(const Call& call) : call_(call) {}

  const Call& call() const { return call_; }
  Response& response() { return response_; }

  template <typename Reply, typename Request, std::invocable<Response&, Reply&> Absorb>
  void ask(base::CellId cell, Request request, Absorb absorb) {
    const broker::ReplyTo reply_to = call_.expect(shared_from_this());
    waiting_.emplace(reply_to.token.value, [this, absorb = std::move(absorb)](broker::GroupReply& reply) mutable {
      absorb(response_, std::get<Reply>(reply));
    });
    call_.broker().submit(cell, reply_to, broker::GroupRequest{std::move(request)});
  }
  void reply_if_answered() {
    if (waiting_.empty()) call_.reply(response_);
  }
  void on_action(broker::Token token, broker::ActionBody&& body) override {
    waiting_.extract(token.value).mapped()(std::get<broker::GroupReply>(body));
    reply_if_answered();
  }

 private:
  Call call_;
  Response response_;
  std::unordered_map<uint64_t, std::function<void(broker::GroupReply&)>> waiting_;  // by token
};

}  // namespace polylog::kafka
