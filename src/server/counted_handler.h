// counted(): a connection's handler that counts itself as open for as long as the connection lives.
#pragma once

#include <atomic>
#include <memory>

#include "io/net.h"

namespace polylog::server {

class CountedHandler final : public io::Handler {
 public:
  CountedHandler(std::atomic<int64_t>& open, std::unique_ptr<io::Handler> handler)
      : open_(open), handler_(std::move(handler)) {}

  void on_open(io::Connection& connection) override {
    open_.fetch_add(1, std::memory_order_relaxed);
    handler_->on_open(connection);
  }
  Taken on_bytes(base::View bytes) override { return handler_->on_bytes(bytes); }
  void on_drained() override { handler_->on_drained(); }
  void on_closed(std::string_view why) override {
    open_.fetch_sub(1, std::memory_order_relaxed);
    handler_->on_closed(why);
  }

 private:
  std::atomic<int64_t>& open_;
  std::unique_ptr<io::Handler> handler_;
};

inline std::unique_ptr<io::Handler> counted(std::atomic<int64_t>& open, std::unique_ptr<io::Handler> handler) {
  return std::make_unique<CountedHandler>(open, std::move(handler));
}

}  // namespace polylog::server
