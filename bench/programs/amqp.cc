// bench_amqp: an AMQP 0-9-1 load client, one publisher and one consumer connection, one thread on one processor.
//   bench_amqp port=5672 [type=classic|quorum] [size=100] [rate=0] [secs=5] [warm=2] [pid=0] [cpu=1] [window=1000]
//              [lag=20000] [prefetch=1000] [ack_every=100] [consume=1] [queue=NAME]
// The queue is durable, messages persistent, publishing confirmed, delivery acknowledged. rate=0 publishes as fast as
// window (not confirmed) and lag (not delivered) allow; otherwise latency runs from the scheduled time to delivery.
// Speaks the protocol by itself and trusts the server: a frame it does not know is skipped, a close ends the run.
#include <signal.h>
#include <sys/epoll.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "bench/support/amqp_wire.h"
#include "bench/support/clock.h"
#include "bench/support/options.h"
#include "bench/support/phase.h"
#include "bench/support/report.h"
#include "bench/support/socket.h"

namespace polylog::bench {
namespace {

// Which publishes are confirmed. Confirms come one by one or up to a tag, in any order.
class Confirms {
 public:
  explicit Confirms(size_t window) : open_(std::bit_ceil(window * 2 + 1024)) {}

  void published(uint64_t tag) { open_[tag % open_.size()] = 1; }
  void confirm(uint64_t tag) {
    count_ += std::exchange(open_[tag % open_.size()], uint8_t{0});
    while (oldest_ < tag && open_[oldest_ % open_.size()] == 0) oldest_++;
  }
  void confirm_up_to(uint64_t tag) {
    for (; oldest_ <= tag; oldest_++) count_ += std::exchange(open_[oldest_ % open_.size()], uint8_t{0});
  }
  uint64_t count() const { return count_; }

 private:
  std::vector<uint8_t> open_;
  uint64_t oldest_ = 1;
  uint64_t count_ = 0;
};

class Client {
 public:
  explicit Client(const Options& options)
      : type_(options.text("type", "classic")),
        queue_(options.text("queue", "bench-" + type_)),
        size_(std::max<size_t>(options.count("size", 100), sizeof(uint64_t))),
        rate_(options.number("rate", 0)),
        window_(options.count("window", 1000)),
        lag_(options.count("lag", 20'000)),
        ack_every_(options.count("ack_every", rate_ > 0 ? 1 : 100)),
        consuming_(options.flag("consume", true)),
        confirms_(rate_ > 0 ? size_t{1} << 20 : window_) {
    const auto port = static_cast<uint16_t>(options.count("port", 5672));
    prepare_publisher(port);
    if (consuming_) prepare_consumer(port, static_cast<uint16_t>(options.count("prefetch", 1000)));
    publisher_.set_nonblocking();
    epoll_ = epoll_create1(0);
    watch(publisher_, EPOLL_CTL_ADD, EPOLLIN);
    if (!consuming_) return;
    consumer_.set_nonblocking();
    watch(consumer_, EPOLL_CTL_ADD, EPOLLIN);
  }

  Counters counters() const { return {sent_, confirms_.count(), received_}; }
  const Histogram& latencies() const { return latencies_; }

  // Publishes what is allowed or due, then waits for the sockets until the next message is due.
  void turn(bool measuring) {
    measuring_ = measuring;
    const uint64_t wait_ns = rate_ > 0 ? publish_due() : publish_allowed();
    flush(publisher_);
    if (consuming_) flush(consumer_);
    wait_for_sockets(wait_ns);
  }

 private:
  static constexpr uint64_t idle_wait_ns = 100'000'000;

  void prepare_publisher(uint16_t port) {
    amqp::open_channel(publisher_, port);
    amqp::delete_queue(publisher_, queue_);
    amqp::declare_durable_queue(publisher_, queue_, type_);
    amqp::select_confirms(publisher_);
    load::amqp::MessageFrames frames =
        load::amqp::message_frames(queue_, size_, /*persistent=*/true, load::amqp::kFrameBytesMax);
    message_ = std::move(frames.bytes);
    stamp_at_ = frames.body_at;
    first_ns_ = now_ns();
  }

  void prepare_consumer(uint16_t port, uint16_t prefetch) {
    amqp::open_channel(consumer_, port);
    amqp::consume(consumer_, queue_, prefetch);
  }

  void publish(uint64_t stamp_ns) {
    std::memcpy(&message_[stamp_at_], &stamp_ns, sizeof stamp_ns);
    publisher_.output += message_;
    confirms_.published(++sent_);
  }

  bool may_publish() const { return sent_ - confirms_.count() < window_ && (!consuming_ || sent_ - received_ < lag_); }

  uint64_t publish_allowed() {
    constexpr int messages_per_turn = 512;
    constexpr size_t output_bytes_max = 256 << 10;
    const uint64_t now = now_ns();
    for (int i = 0; i < messages_per_turn && may_publish(); i++) {
      if (publisher_.output.size() >= output_bytes_max) return idle_wait_ns;
      publish(now);
    }
    return may_publish() ? 0 : idle_wait_ns;
  }

  uint64_t publish_due() {
    const uint64_t now = now_ns();
    for (;;) {
      const uint64_t due = first_ns_ + static_cast<uint64_t>(static_cast<double>(sent_) * 1e9 / rate_);
      if (due > now) return due - now;
      publish(due);
    }
  }

  void flush(Socket& socket) {
    if (socket.output.empty()) return;
    const bool was_blocked = socket.blocked;
    socket.flush();
    if (socket.blocked != was_blocked) watch(socket, EPOLL_CTL_MOD, socket.blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }

  void watch(Socket& socket, int operation, uint32_t events) {
    epoll_event event{.events = events, .data = {.ptr = &socket}};
    epoll_ctl(epoll_, operation, socket.fd(), &event);
  }

  void wait_for_sockets(uint64_t wait_ns) {
    epoll_event events[2];
    const timespec timeout{static_cast<time_t>(wait_ns / 1'000'000'000), static_cast<long>(wait_ns % 1'000'000'000)};
    const int count = epoll_pwait2(epoll_, events, 2, &timeout, nullptr);
    for (int i = 0; i < count; i++) {
      Socket& socket = *static_cast<Socket*>(events[i].data.ptr);
      if ((events[i].events & EPOLLOUT) != 0) flush(socket);
      if ((events[i].events & ~static_cast<uint32_t>(EPOLLOUT)) != 0 && socket.fill()) read_frames(socket);
    }
  }

  void read_frames(Socket& socket) {
    size_t used = 0;
    while (const auto frame = amqp::next_frame(socket.input().substr(used))) {
      if (frame->type == load::amqp::kFrameMethod) on_method(*frame);
      if (frame->type == load::amqp::kFrameBody) on_body(frame->payload);
      used += frame->size;
    }
    socket.consume(used);
  }

  void on_method(const load::amqp::Frame& frame) {
    switch (frame.method()) {
      case load::amqp::kBasicAck: {
        const uint64_t tag = load::amqp::read_u64(frame.arguments());
        const bool multiple = (frame.arguments()[8] & 1) != 0;
        multiple ? confirms_.confirm_up_to(tag) : confirms_.confirm(tag);
        break;
      }
      case load::amqp::kBasicDeliver: {
        const auto tag_length = static_cast<uint8_t>(frame.arguments()[0]);
        delivery_tag_ = load::amqp::read_u64(frame.arguments().substr(1 + size_t{tag_length}));
        break;
      }
      default: amqp::exit_on_close(frame);
    }
  }

  // A body is never cut into frames here: sizes stay below the frame size agreed on.
  void on_body(std::string_view body) {
    received_++;
    if (measuring_ && rate_ > 0) {
      uint64_t scheduled_ns = 0;
      std::memcpy(&scheduled_ns, body.data(), sizeof scheduled_ns);
      latencies_.add(now_ns() - scheduled_ns);
    }
    if (++unacknowledged_ < ack_every_) return;
    load::amqp::put_ack(consumer_.output, delivery_tag_);
    unacknowledged_ = 0;
  }

  std::string type_;
  std::string queue_;
  size_t size_;
  double rate_;
  uint64_t window_;
  uint64_t lag_;
  uint64_t ack_every_;
  bool consuming_;

  Socket publisher_;
  Socket consumer_;
  int epoll_ = -1;
  std::string message_;  // All frames of one message; only the stamp in its body changes.
  size_t stamp_at_ = 0;
  uint64_t first_ns_ = 0;

  Confirms confirms_;
  Histogram latencies_;
  bool measuring_ = false;
  uint64_t sent_ = 0;
  uint64_t received_ = 0;
  uint64_t delivery_tag_ = 0;
  uint64_t unacknowledged_ = 0;
};

int run(const Options& options) {
  signal(SIGPIPE, SIG_IGN);
  pin_to_cpu(static_cast<int>(options.number("cpu", 1)));
  Client client(options);
  Phase phase(options);
  while (phase.advance(now_ns(), client.counters())) client.turn(phase.measuring());
  Report report;
  phase.report(report, client.counters(), options.flag("consume", true));
  report.add_percentiles_us(client.latencies());
  report.print();
  return 0;
}

}  // namespace
}  // namespace polylog::bench

int main(int argc, char** argv) { return polylog::bench::run(polylog::bench::Options(argc, argv)); }
