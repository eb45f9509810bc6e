#include "load/amqp/target.h"

#include <fmt/format.h>
#include <poll.h>

namespace polylog::load::amqp {
namespace {

using base::ErrorCode;

class AmqpTarget final : public Target {
 public:
  AmqpTarget(Address address, const Login& login, const QueueKind& kind, const std::string& name, const Plan& plan)
      : address_(std::move(address)), login_(login), kind_(kind), plan_(plan) {
    for (uint32_t i = 0; i < plan.destinations; ++i) {
      queues_.push_back(plan.destinations == 1 ? name : fmt::format("{}-{}", name, i));
    }
  }

  base::Result<> create() override {
    for (const std::string& queue : queues_) TRY(check_absent(queue));
    return converse([&](Script& script) {
      for (const std::string& queue : queues_) {
        script.ask(kQueueDeclareOk, [&](std::string& output) { put_queue_declare(output, queue, kind_); });
      }
    });
  }

  base::Result<> remove() override {
    return converse([&](Script& script) {
      for (const std::string& queue : queues_) {
        script.ask(kQueueDeleteOk, [&](std::string& output) { put_queue_delete(output, queue); });
      }
    });
  }

  Windows windows() const override { return {.unacknowledged_max = 2000, .unreceived_max = 20'000}; }

  base::Result<std::vector<std::unique_ptr<Link>>> links(Ledger& ledger) override {
    std::vector<std::unique_ptr<Link>> links;
    for (uint32_t connection = 0; connection < plan_.connections; ++connection) {
      std::vector<AmqpProducer::Lane> lanes;
      for (uint32_t lane = connection; lane < plan_.lanes(); lane += plan_.connections) {
        lanes.push_back({.index = lane, .queue = queues_[plan_.destination_of(lane)]});
      }
      links.push_back(std::make_unique<AmqpProducer>(address_, login_, ledger, kind_, std::move(lanes)));
      std::vector<std::string> queues;
      for (uint32_t queue = connection; queue < plan_.destinations; queue += plan_.connections) {
        queues.push_back(queues_[queue]);
      }
      if (queues.empty()) continue;
      links.push_back(std::make_unique<AmqpConsumer>(address_, login_, ledger, kind_, std::move(queues)));
    }
    return links;
  }

 private:
  base::Result<> check_absent(const std::string& queue) {
    const auto found = converse([&](Script& script) {
      script.ask(kQueueDeclareOk, [&](std::string& output) { put_queue_declare_passive(output, queue); });
    });
    if (found) return base::fail(ErrorCode::kExists, fmt::format("there is a queue '{}' already", queue));
    if (found.error().code != ErrorCode::kNotFound) return std::unexpected(found.error());
    return {};
  }

  // On a connection of its own: logs in, then has the conversation.
  template <typename AddSteps>
  base::Result<> converse(AddSteps add_steps) {
    uint32_t frame_bytes_max = 0;
    Script script = Script::login(login_, frame_bytes_max);
    add_steps(script);
    Socket socket;
    TRY(socket.connect(address_, kCallTimeNs));
    put_protocol_header(socket.output);
    const uint64_t give_up_ns = now_ns() + kCallTimeNs;
    while (true) {
      TRY(socket.flush());
      if (script.done()) return {};
      const uint64_t now = now_ns();
      if (now >= give_up_ns || !socket.wait(POLLIN, give_up_ns - now)) {
        return base::fail(ErrorCode::kTimeout, "the server does not answer");
      }
      TRY(socket.fill());
      TRY(take_frames(socket, script));
    }
  }

  static base::Result<> take_frames(Socket& socket, Script& script) {
    while (true) {
      TRY_ASSIGN(const auto frame, next_frame(socket.input()));
      if (!frame) return {};
      TRY(script.on_frame(*frame, socket.output));
      socket.consume(frame->size);
    }
  }

  const Address address_;
  const Login login_;
  const QueueKind kind_;
  const Plan plan_;
  std::vector<std::string> queues_;
};

}  // namespace

std::unique_ptr<Target> make_target(Address address, const Login& login, const QueueKind& kind, const std::string& name,
                                    const Plan& plan) {
  return std::make_unique<AmqpTarget>(std::move(address), login, kind, name, plan);
}

}  // namespace polylog::load::amqp
