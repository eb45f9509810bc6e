// Engine: how the coroutine that answers one request asks the broker, and waits. Questions leave at once; awaiting an
// Answers<Done> goes on when all of them are answered, in the order in which they were asked.
//
//   Answers<broker::QueueStatsDone> stats(engine);
//   for (const Record& queue : queues) stats.ask(queue->partitions[0], broker::QueueStatsRequest{queue->key()});
//   for (const broker::QueueStatsDone& done : co_await stats) ...
//
// One wait at a time; lives on the admin listener's core. What a dropped coroutine asked may still happen.
#pragma once

#include <coroutine>
#include <optional>
#include <vector>

#include "broker/broker.h"

namespace polylog::server {

// What the running coroutine waits for.
class Waiting {
 public:
  virtual ~Waiting() = default;
  virtual bool on_action(uint64_t token, broker::ActionBody& body) = 0;  // true: the wait is over
  virtual bool on_deadline() { return true; }                            // likewise
};

class Engine : public broker::Session {
 public:
  explicit Engine(broker::Broker& broker) : broker_(broker) {}

  broker::Broker& broker() { return broker_; }
  broker::ReplyTo next_reply_to();
  // The wait ends when `waiting` says so.
  void wait(Waiting& waiting, std::coroutine_handle<> waiter, std::optional<base::MonoTime> deadline = {});
  void leave();  // forgets the wait and all that was asked. Not later than the connection's end: the broker may go then

  void on_action(broker::Action action) override;

 protected:
  virtual void on_progress() = 0;  // the coroutine went on, and waits again or has ended

 private:
  void resume();

  broker::Broker& broker_;
  std::optional<broker::SessionId> id_;  // only once something was asked
  uint64_t next_token_ = 1;
  Waiting* waiting_ = nullptr;
  std::coroutine_handle<> waiter_;
  io::TimerId deadline_timer_;
};

template <typename Done>
class Answers final : public Waiting {
 public:
  explicit Answers(Engine& engine) : engine_(engine) {}

  void ask(base::CellId cell, broker::CellRequest request) {
    engine_.broker().submit(cell, expect(), std::move(request));
  }
  void change(broker::CatalogRequest request) { engine_.broker().change_catalog(expect(), std::move(request)); }

  bool await_ready() const { return missing_ == 0; }
  void await_suspend(std::coroutine_handle<> waiter) { engine_.wait(*this, waiter); }
  std::vector<Done> await_resume() { return std::move(answers_); }

  bool on_action(uint64_t token, broker::ActionBody& body) override {
    Done* done = std::get_if<Done>(&body);
    if (done == nullptr || token - first_token_ >= answers_.size()) return false;
    answers_[token - first_token_] = std::move(*done);
    return --missing_ == 0;
  }

 private:
  broker::ReplyTo expect() {
    const broker::ReplyTo to = engine_.next_reply_to();
    if (answers_.empty()) first_token_ = to.token.value;
    answers_.emplace_back();
    ++missing_;
    return to;
  }
  Engine& engine_;
  std::vector<Done> answers_;  // by token, from first_token_ on
  uint64_t first_token_ = 0;
  size_t missing_ = 0;
};

// Reads one partition; with nothing there, waits for something until `deadline`.
class ReadOrWait final : public Waiting {
 public:
  ReadOrWait(Engine& engine, base::CellId cell, const broker::ReadRequest::Item& item,
             std::optional<base::MonoTime> deadline = {});

  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> waiter) { engine_.wait(*this, waiter, deadline_); }
  // `grown`: nothing was there, now something is; read again.
  struct Outcome {
    broker::ReadDone::Item item;
    bool grown = false;
  };
  Outcome await_resume();

  bool on_action(uint64_t token, broker::ActionBody& body) override;
  bool on_deadline() override;  // a read that is under way is waited for

 private:
  Engine& engine_;
  base::CellId cell_;
  std::optional<base::MonoTime> deadline_;
  broker::ReplyTo to_;
  bool has_read_ = false;
  bool expired_ = false;
  Outcome outcome_;
};

}  // namespace polylog::server
