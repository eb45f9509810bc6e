// TestConnection: an io::Connection without a socket, for tests of handlers. Bytes go in by send(), come out by
// take_output(), which stands for a peer that reads everything; virtual time passes in run_for() only.
//
// Contract: unconsumed bytes are kept and offered again with the next ones, or after resume_reading(); nothing is offered
// while reading is paused or once the connection closes; on_closed() comes at once with close_now().
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "io/net.h"
#include "io/sim/sim_loop.h"

namespace polylog::http {

class TestConnection : public io::Connection {
 public:
  explicit TestConnection(const std::function<std::unique_ptr<io::Handler>(io::Loop&)>& make)
      : handler_(make(world_.loop(0))) {
    handler_->on_open(*this);
  }
  ~TestConnection() override { close_now(); }

  void send(std::string_view bytes) {
    kept_ += bytes;
    offer();
  }
  std::string take_output() {
    std::string output;
    std::vector<base::View> pieces;
    while (!out_.empty()) {
      const size_t bytes = out_.gather(pieces, 64);
      for (base::View piece : pieces) output += base::as_text(piece);
      out_.sent(bytes);
    }
    return output;
  }
  void run_for(base::Duration duration) { world_.run_for(duration); }
  bool closing() const { return closing_; }
  bool closed() const { return closed_; }
  size_t queued_bytes_peak() const { return queued_bytes_peak_; }

  io::OutQueue& out() override { return out_; }
  void flush_at_turn_end() override { queued_bytes_peak_ = std::max(queued_bytes_peak_, out_.queued_bytes()); }
  void pause_reading() override { paused_ = true; }
  void resume_reading() override {
    paused_ = false;
    offer();
  }
  void close_after_flush() override { closing_ = true; }
  void close_now() override {
    if (std::exchange(closed_, true)) return;
    handler_->on_closed("closed");
  }
  const std::string& peer() const override { return peer_; }
  bool peer_is_loopback() const override { return true; }

 private:
  void offer() {
    if (paused_ || closing_ || closed_ || kept_.empty()) return;
    kept_.erase(0, handler_->on_bytes(base::as_view(kept_)).consumed_bytes);
  }

  io::SimWorld world_{{}};
  std::unique_ptr<io::Handler> handler_;
  io::OutQueue out_;
  std::string kept_;
  std::string peer_ = "127.0.0.1:1";
  size_t queued_bytes_peak_ = 0;
  bool paused_ = false;
  bool closing_ = false;
  bool closed_ = false;
};

}  // namespace polylog::http
