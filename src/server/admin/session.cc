// AdminSession: one connection of the admin listener. It runs one request's coroutine at a time, and gives up on it after
// kCallTimeMax, or when the client leaves.
#include "http/server.h"
#include "server/admin/routes.h"

namespace polylog::server {

namespace {

// All that a handler waits for together; a long poll takes up to half of it.
constexpr base::Duration kCallTimeMax = std::chrono::seconds(60);

Response refusal_page(const http::Refusal& refusal) {
  const std::string_view code = refusal.status == 413 ? "too_large" : refusal.status == 431 ? "too_large" : "invalid";
  return refuse(refusal.status, code, refusal.text);
}

class AdminSession final : public io::Handler, private Engine {
 public:
  AdminSession(broker::Broker& broker, const AdminState& state)
      : Engine(broker),
        state_(state),
        http_(
            broker.loop(),
            [this](http::Request&& request, http::Responder respond) {
              answer(std::move(request), std::move(respond));
            },
            refusal_page) {}

  void on_open(io::Connection& connection) override { http_.on_open(connection); }
  Taken on_bytes(base::View bytes) override { return http_.on_bytes(bytes); }
  void on_closed(std::string_view why) override {
    drop();
    http_.on_closed(why);
  }

 private:
  struct Running {
    Call call;
    http::Responder respond;
    std::optional<Task<Response>> task;  // goes before what it refers to
  };

  void answer(http::Request&& request, http::Responder respond) {
    running_ = std::make_unique<Running>(
        Running{Call{.state = state_, .engine = *this, .request = std::move(request)}, std::move(respond), {}});
    Response refusal;
    const Route* route = find_route(running_->call, refusal);
    if (route == nullptr) return finish(std::move(refusal));
    running_->task = route->answer(running_->call);
    running_->task->start();
    if (running_->task->done()) return on_progress();
    give_up_timer_ = broker().loop().call_at(broker().loop().now() + kCallTimeMax, [this] {
      give_up_timer_ = {};
      leave();
      finish(refuse(503, "timeout", "the engine did not answer in time; it is not known what became of the request"));
    });
  }

  void on_progress() override {
    if (running_ != nullptr && running_->task->done()) finish(running_->task->take());
  }

  // The next request may come before this returns.
  void finish(Response response) {
    broker().loop().cancel(std::exchange(give_up_timer_, {}));
    const auto ended = std::move(running_);
    ended->task.reset();
    ended->respond(response);
  }

  void drop() {
    broker().loop().cancel(std::exchange(give_up_timer_, {}));
    leave();
    running_.reset();
  }

  const AdminState& state_;
  http::ServerConnection http_;
  std::unique_ptr<Running> running_;
  io::TimerId give_up_timer_;
};

}  // namespace

std::unique_ptr<io::Handler> make_admin_session(broker::Broker& broker, const AdminState& state) {
  return std::make_unique<AdminSession>(broker, state);
}

}  // namespace polylog::server
