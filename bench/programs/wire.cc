// bench_wire: a Kafka client that costs next to nothing, for finding the server's limit instead of librdkafka's.
//   bench_wire mode=produce port=9092 [connections=16] [window=1] [partitions=1] [records=64] [size=100]
//     every connection keeps `window` identical requests in flight, each with one batch for `partitions` partitions of
//     its own. Latency is a request's, from send to reply.
//   bench_wire mode=fetch port=9092 [fill_mib=512] [batch=1048576] [tail=0] [window=2] [settle=0]
//     fills one partition with batches of about `batch` bytes, waits `settle` seconds, then reads it again and again from
//     its beginning, one batch a request; tail=1 reads the newest batch each time.
//   both: [secs=5] [warm=2] [pid=0] [cpu=1]
// It throws away what it reads. No other server is meant to like it: there is no negotiation and no metadata.
#include <signal.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <thread>

#include "bench/support/clock.h"
#include "bench/support/kafka_wire.h"
#include "bench/support/options.h"
#include "bench/support/phase.h"
#include "bench/support/report.h"
#include "bench/support/socket.h"

namespace polylog::bench {
namespace {

[[noreturn]] void fail(const char* what, int code) {
  std::fprintf(stderr, "bench_wire: %s: error code %d\n", what, code);
  std::exit(1);
}

// The reply at the front of the input without its size field; empty while it is incomplete.
std::string_view front_reply(const Socket& socket) {
  const auto reply = load::kafka::front_reply(socket.input());
  if (!reply) fail("reply", 0);
  return *reply;
}

// Sends and waits, on a blocking socket. The reply is the caller's to consume.
std::string_view call(Socket& socket, std::string_view request) {
  socket.output = request;
  socket.flush();
  while (front_reply(socket).empty()) socket.fill();
  return front_reply(socket);
}

void create_topic(uint16_t port, const std::string& topic, int32_t partitions) {
  Socket socket;
  socket.connect(port);
  const auto error =
      load::kafka::create_topic_error(call(socket, load::kafka::create_topic_request(topic, partitions)));
  if (!error || *error != 0) fail("create topic", error ? *error : 0);
  sleep_ns(500'000'000);
}

struct Producer {
  Socket socket;
  std::string request;
  std::deque<uint64_t> sent_at_ns;
};

class Produce {
 public:
  explicit Produce(const Options& options)
      : window_(options.count("window", 1)),
        records_(options.count("records", 64) * options.count("partitions", 1)),
        epoll_(epoll_create1(0)) {
    const auto port = static_cast<uint16_t>(options.count("port", 9092));
    const auto connections = static_cast<int32_t>(options.count("connections", 16));
    const auto partitions = static_cast<int32_t>(options.count("partitions", 1));
    const std::string topic = "wire-" + std::to_string(now_ns());
    create_topic(port, topic, connections * partitions);
    const std::string batch = kafka::record_batch(options.count("records", 64), options.count("size", 100));
    for (int32_t i = 0; i < connections; i++) {
      auto producer = std::make_unique<Producer>();
      producer->socket.connect(port);
      producer->socket.set_nonblocking();
      producer->request = kafka::produce_request(topic, i * partitions, partitions, batch);
      epoll_event event{.events = EPOLLIN, .data = {.ptr = producer.get()}};
      epoll_ctl(epoll_, EPOLL_CTL_ADD, producer->socket.fd(), &event);
      send_up_to_window(*producer);
      producers_.push_back(std::move(producer));
    }
  }

  void turn(bool measuring) {
    epoll_event events[64];
    const int count = epoll_wait(epoll_, events, 64, 100);
    for (int i = 0; i < count; i++) {
      Producer& producer = *static_cast<Producer*>(events[i].data.ptr);
      if ((events[i].events & EPOLLIN) != 0 && producer.socket.fill()) take_replies(producer, measuring);
      send_up_to_window(producer);
    }
  }

  Counters counters() const { return {0, requests_ * records_, 0}; }
  const Histogram& latencies() const { return latencies_; }
  uint64_t records_per_request() const { return records_; }

 private:
  void take_replies(Producer& producer, bool measuring) {
    const uint64_t now = now_ns();
    for (auto reply = front_reply(producer.socket); !reply.empty(); reply = front_reply(producer.socket)) {
      if (const int16_t error = kafka::produce_error(reply); error != 0) fail("produce", error);
      producer.socket.consume(4 + reply.size());
      if (measuring) latencies_.add(now - producer.sent_at_ns.front());
      producer.sent_at_ns.pop_front();
      requests_++;
    }
  }

  void send_up_to_window(Producer& producer) {
    while (producer.sent_at_ns.size() < window_) {
      producer.socket.output += producer.request;
      producer.sent_at_ns.push_back(now_ns());
    }
    const bool was_blocked = producer.socket.blocked;
    producer.socket.flush();
    if (producer.socket.blocked == was_blocked) return;
    const uint32_t events = producer.socket.blocked ? EPOLLIN | EPOLLOUT : EPOLLIN;
    epoll_event event{.events = events, .data = {.ptr = &producer}};
    epoll_ctl(epoll_, EPOLL_CTL_MOD, producer.socket.fd(), &event);
  }

  uint64_t window_;
  uint64_t records_;
  int epoll_;
  std::vector<std::unique_ptr<Producer>> producers_;
  uint64_t requests_ = 0;
  Histogram latencies_;
};

int produce(const Options& options) {
  Produce work(options);
  Phase phase(options);
  while (phase.advance(now_ns(), work.counters())) work.turn(phase.measuring());
  Report report;
  phase.report(report, work.counters(), false);
  report.add("records_per_request", static_cast<double>(work.records_per_request()));
  report.add_percentiles_us(work.latencies());
  report.print();
  return 0;
}

// ---- fetch ----

constexpr size_t record_bytes = 1024;

class Fetch {
 public:
  explicit Fetch(const Options& options)
      : topic_("wire-" + std::to_string(now_ns())), tail_(options.flag("tail", false)) {
    const auto port = static_cast<uint16_t>(options.count("port", 9092));
    const size_t wanted_bytes = options.count("batch", 1 << 20) - 4096;
    records_per_batch_ = std::max<size_t>(1, wanted_bytes / (record_bytes + 10));
    create_topic(port, topic_, 1);
    fill(port, options.count("fill_mib", 512) << 20);
    std::this_thread::sleep_for(std::chrono::seconds(options.count("settle", 0)));
    request_ = kafka::fetch_request(topic_, 0, static_cast<int32_t>(batch_bytes_));
    socket_.connect(port);
    for (uint64_t i = 0; i < options.count("window", 2); i++) send_next();
  }

  void turn() {
    while (front_reply(socket_).empty()) socket_.fill();
    const std::string_view reply = front_reply(socket_);
    const auto head = kafka::read_fetch_head(reply);
    if (head.error != 0) fail("fetch", head.error);
    if (static_cast<size_t>(head.record_bytes) != batch_bytes_)
      fail("fetch: not one batch but bytes", head.record_bytes);
    socket_.consume(4 + reply.size());
    send_next();
    bytes_ += batch_bytes_;
  }

  // In bytes: a fetch has no messages that would count alone.
  Counters counters() const { return {0, bytes_, 0}; }

 private:
  void fill(uint16_t port, uint64_t bytes) {
    const std::string batch = kafka::record_batch(records_per_batch_, record_bytes);
    batch_bytes_ = batch.size();
    batches_ = std::max<uint64_t>(2, bytes / batch_bytes_);
    const std::string request = kafka::produce_request(topic_, 0, 1, batch);
    Socket socket;
    socket.connect(port);
    for (uint64_t i = 0; i < batches_; i++) {
      const std::string_view reply = call(socket, request);
      if (const int16_t error = kafka::produce_error(reply); error != 0) fail("fill", error);
      socket.consume(4 + reply.size());
    }
  }

  void send_next() {
    const uint64_t batch = tail_ ? batches_ - 1 : next_batch_++ % batches_;
    kafka::set_fetch_offset(request_, static_cast<int64_t>(batch * records_per_batch_));
    socket_.output = request_;
    socket_.flush();
  }

  std::string topic_;
  bool tail_;
  size_t records_per_batch_ = 0;
  size_t batch_bytes_ = 0;
  uint64_t batches_ = 0;
  uint64_t next_batch_ = 0;
  std::string request_;
  Socket socket_;
  uint64_t bytes_ = 0;
};

int fetch(const Options& options) {
  Fetch work(options);
  Phase phase(options);
  while (phase.advance(now_ns(), work.counters())) work.turn();
  Report report;
  phase.report(report, work.counters(), false);
  report.print();
  return 0;
}

int run(const Options& options) {
  signal(SIGPIPE, SIG_IGN);
  pin_to_cpu(static_cast<int>(options.number("cpu", 1)));
  return options.text("mode", "produce") == "fetch" ? fetch(options) : produce(options);
}

}  // namespace
}  // namespace polylog::bench

int main(int argc, char** argv) { return polylog::bench::run(polylog::bench::Options(argc, argv)); }
