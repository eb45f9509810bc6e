#include "load/outages.h"

namespace polylog::load {

void Outages::on_down(uint64_t now_ns) {
  down_++;
  if (!current_) current_ = Outage{.began_ns = now_ns};
  // What another connection still had in its buffer was no sign of recovery.
  current_->connected_ns = current_->acknowledged_ns = current_->received_ns = 0;
}

void Outages::on_up(uint64_t now_ns) {
  if (down_ > 0) down_--;
  if (!current_ || down_ > 0) return;
  current_->connected_ns = now_ns;
  close_if_over();
}

void Outages::on_acknowledged(uint64_t now_ns) {
  if (current_) {
    current_->silence_ack_ns = std::max(current_->silence_ack_ns, now_ns - last_ack_ns_);
    if (current_->acknowledged_ns == 0) current_->acknowledged_ns = now_ns;
    close_if_over();
  }
  last_ack_ns_ = now_ns;
}

void Outages::on_received(uint64_t now_ns) {
  if (current_) {
    current_->silence_receive_ns = std::max(current_->silence_receive_ns, now_ns - last_receive_ns_);
    if (current_->received_ns == 0) current_->received_ns = now_ns;
    close_if_over();
  }
  last_receive_ns_ = now_ns;
}

void Outages::finish(uint64_t now_ns) {
  if (!current_) return;
  if (current_->acknowledged_ns == 0)
    current_->silence_ack_ns = std::max(current_->silence_ack_ns, now_ns - last_ack_ns_);
  if (current_->received_ns == 0)
    current_->silence_receive_ns = std::max(current_->silence_receive_ns, now_ns - last_receive_ns_);
  finished_.push_back(*current_);
  current_.reset();
}

void Outages::close_if_over() {
  if (!current_->over()) return;
  finished_.push_back(*current_);
  current_.reset();
}

}  // namespace polylog::load
