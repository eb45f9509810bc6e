// bench_kafka: a Kafka load client on librdkafka, one producer and one consumer, all of it on one processor.
//   bench_kafka broker=HOST:PORT [size=100] [partitions=1] [rate=0] [secs=5] [warm=2] [pid=0] [cpu=1] [batch=1000000]
//               [linger=5] [acks=all] [window=400000] [lag=2000000] [consume=1] [topic=NAME]
//               [p.NAME=VALUE] [c.NAME=VALUE]
// rate=0 sends as fast as window (not acknowledged) and lag (not received) allow. Otherwise messages leave at fixed
// times and latency runs from the *scheduled* time to the consumer, so that a stalled broker cannot hide its stall.
// p. and c. set librdkafka's own properties of the producer and the consumer; p.test.mock.num.brokers=1 consume=0
// measures the client's own ceiling. Holds no polylog code: the server cannot tell it from any other client.
#include <librdkafka/rdkafka.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <thread>
#include <utility>

#include "bench/support/clock.h"
#include "bench/support/options.h"
#include "bench/support/phase.h"
#include "bench/support/report.h"

namespace polylog::bench {
namespace {

// Neighbouring messages go to one partition for this long, as the clients' sticky partitioners do.
constexpr uint64_t messages_per_partition_turn = 64;
constexpr uint64_t messages_per_burst = 256;
constexpr size_t error_size = 512;

std::atomic<uint64_t> acknowledged{0};
std::atomic<uint64_t> failed{0};
std::atomic<uint64_t> received{0};
std::atomic<bool> measuring{false};
std::atomic<bool> stopping{false};

[[noreturn]] void fail(const char* what, const char* why) {
  std::fprintf(stderr, "bench_kafka: %s: %s\n", what, why);
  // librdkafka's threads may be anywhere; ordinary exit would wait for them.
  _exit(1);
}

void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    acknowledged++;
  } else if (failed++ == 0) {
    std::fprintf(stderr, "bench_kafka: delivery failed: %s\n", rd_kafka_err2str(message->err));
  }
}

using Properties = std::initializer_list<std::pair<const char*, std::string>>;

rd_kafka_conf_t* configuration(const Options& options, const char* prefix, Properties defaults) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  char error[error_size];
  const auto set = [&](const std::string& key, const std::string& value) {
    const auto result = rd_kafka_conf_set(conf, key.c_str(), value.c_str(), error, sizeof error);
    if (result != RD_KAFKA_CONF_OK) fail("configuration", error);
  };
  for (const auto& [key, value] : defaults) set(key, value);
  for (const auto& [key, value] : options.with_prefix(prefix)) set(key, value);
  return conf;
}

rd_kafka_t* open_producer(const Options& options, bool paced) {
  rd_kafka_conf_t* conf = configuration(options, "p.",
                                        {{"bootstrap.servers", options.text("broker", "127.0.0.1:9092")},
                                         {"linger.ms", options.text("linger", paced ? "0" : "5")},
                                         {"batch.size", options.text("batch", "1000000")},
                                         {"batch.num.messages", "10000"},
                                         {"queue.buffering.max.messages", "500000"},
                                         {"queue.buffering.max.kbytes", "1000000"},
                                         {"acks", options.text("acks", "all")},
                                         {"socket.nagle.disable", "true"}});
  rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  char error[error_size];
  rd_kafka_t* producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
  if (producer == nullptr) fail("producer", error);
  return producer;
}

void create_topic(rd_kafka_t* producer, const std::string& topic, int partitions) {
  constexpr int timeout_ms = 20'000;
  char error[error_size];
  rd_kafka_NewTopic_t* wanted = rd_kafka_NewTopic_new(topic.c_str(), partitions, 1, error, sizeof error);
  rd_kafka_queue_t* queue = rd_kafka_queue_new(producer);
  rd_kafka_CreateTopics(producer, &wanted, 1, nullptr, queue);
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue, timeout_ms);
  if (event == nullptr) fail("create topic", "timed out");
  if (rd_kafka_event_error(event) != 0) fail("create topic", rd_kafka_event_error_string(event));
  rd_kafka_event_destroy(event);
  rd_kafka_NewTopic_destroy(wanted);
  rd_kafka_queue_destroy(queue);
  // A broker may answer before its metadata has every leader.
  sleep_ns(500'000'000);
}

rd_kafka_t* open_consumer(const Options& options, const std::string& topic, int partitions) {
  rd_kafka_conf_t* conf =
      configuration(options, "c.",
                    {{"bootstrap.servers", options.text("broker", "127.0.0.1:9092")},
                     {"group.id", "bench"},
                     {"enable.auto.commit", "false"},
                     {"fetch.wait.max.ms", "500"},
                     {"fetch.min.bytes", "1"},
                     {"queued.min.messages", "1000000"},  // more than waits: at this many librdkafka rests for a second
                     {"fetch.message.max.bytes", "10000000"},
                     {"fetch.max.bytes", "50000000"},
                     {"fetch.error.backoff.ms", "10"},
                     {"check.crcs", "false"},
                     {"socket.nagle.disable", "true"}});
  char error[error_size];
  rd_kafka_t* consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof error);
  if (consumer == nullptr) fail("consumer", error);
  rd_kafka_poll_set_consumer(consumer);
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(partitions);
  for (int partition = 0; partition < partitions; partition++) {
    rd_kafka_topic_partition_list_add(list, topic.c_str(), partition)->offset = RD_KAFKA_OFFSET_BEGINNING;
  }
  rd_kafka_assign(consumer, list);
  rd_kafka_topic_partition_list_destroy(list);
  // The consumer is waiting at the end of the log before the first message is sent.
  sleep_ns(1'000'000'000);
  return consumer;
}

void take(const rd_kafka_message_t& message, Histogram* latencies) {
  if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    if (message.err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      std::fprintf(stderr, "bench_kafka: consumer: %s\n", rd_kafka_message_errstr(&message));
    }
    return;
  }
  received++;
  if (latencies == nullptr || !measuring || message.len < sizeof(uint64_t)) return;
  uint64_t scheduled_ns = 0;
  std::memcpy(&scheduled_ns, message.payload, sizeof scheduled_ns);
  latencies->add(now_ns() - scheduled_ns);
}

void consume(rd_kafka_t* consumer, Histogram* latencies) {
  rd_kafka_queue_t* queue = rd_kafka_queue_get_consumer(consumer);
  std::vector<rd_kafka_message_t*> messages(1000);
  // One at a time while latency counts: the call returns only when it has as many as asked for or time is up.
  const size_t batch_size = latencies != nullptr ? 1 : messages.size();
  while (!stopping) {
    const ssize_t count = rd_kafka_consume_batch_queue(queue, 100, messages.data(), batch_size);
    for (ssize_t i = 0; i < count; i++) {
      take(*messages[static_cast<size_t>(i)], latencies);
      rd_kafka_message_destroy(messages[static_cast<size_t>(i)]);
    }
  }
  rd_kafka_queue_destroy(queue);
}

class Sender {
 public:
  Sender(const Options& options, rd_kafka_t* producer, const std::string& topic, int partitions)
      : producer_(producer),
        topic_(rd_kafka_topic_new(producer, topic.c_str(), nullptr)),
        partitions_(static_cast<uint64_t>(partitions)),
        window_(options.count("window", 400'000)),
        lag_(options.flag("consume", true) ? options.count("lag", 2'000'000) : UINT64_MAX),
        rate_(options.number("rate", 0)),
        payload_(std::max<size_t>(options.count("size", 100), sizeof(uint64_t))) {
    for (size_t i = 0; i < payload_.size(); i++) payload_[i] = static_cast<char>('a' + i % 23);
    first_ns_ = now_ns();
  }

  uint64_t sent() const { return sent_; }

  // Sends what is allowed or due by now, then serves delivery reports or waits a little.
  void turn() { rate_ > 0 ? paced_turn() : unpaced_turn(); }

 private:
  bool send(uint64_t stamp_ns, uint64_t partition) {
    std::memcpy(payload_.data(), &stamp_ns, sizeof stamp_ns);
    const int result = rd_kafka_produce(topic_, static_cast<int32_t>(partition), RD_KAFKA_MSG_F_COPY, payload_.data(),
                                        payload_.size(), nullptr, 0, nullptr);
    if (result == 0) sent_++;
    return result == 0;
  }

  void unpaced_turn() {
    const uint64_t acked = acknowledged + failed;
    const uint64_t seen = received;
    const uint64_t behind = acked > seen ? acked - seen : 0;
    if (sent_ - acked >= window_ || behind >= lag_) {
      rd_kafka_poll(producer_, 5);
      return;
    }
    const uint64_t now = now_ns();
    for (uint64_t i = 0; i < messages_per_burst; i++) {
      if (!send(now, sent_ / messages_per_partition_turn % partitions_)) break;
    }
    rd_kafka_poll(producer_, 0);
  }

  void paced_turn() {
    constexpr uint64_t nap_ns_max = 200'000;
    const auto due = [this] {
      return first_ns_ + static_cast<uint64_t>(static_cast<double>(scheduled_) * 1e9 / rate_);
    };
    for (const uint64_t now = now_ns(); due() <= now; scheduled_++) send(due(), scheduled_ % partitions_);
    rd_kafka_poll(producer_, 0);
    const uint64_t now = now_ns();
    if (due() > now) sleep_ns(std::min(due() - now, nap_ns_max));
  }

  rd_kafka_t* producer_;
  rd_kafka_topic_t* topic_;
  uint64_t partitions_;
  uint64_t window_;
  uint64_t lag_;
  double rate_;
  std::vector<char> payload_;
  uint64_t first_ns_ = 0;
  uint64_t scheduled_ = 0;
  uint64_t sent_ = 0;
};

int run(const Options& options) {
  pin_to_cpu(static_cast<int>(options.number("cpu", 1)));
  const int partitions = static_cast<int>(options.count("partitions", 1));
  const bool paced = options.number("rate", 0) > 0;
  const bool consuming = options.flag("consume", true);
  const std::string topic = options.text("topic", "bench-" + std::to_string(now_ns()));

  rd_kafka_t* producer = open_producer(options, paced);
  create_topic(producer, topic, partitions);
  Histogram latencies;
  std::thread consumer_thread;
  if (consuming) {
    rd_kafka_t* consumer = open_consumer(options, topic, partitions);
    consumer_thread = std::thread(consume, consumer, paced ? &latencies : nullptr);
  }

  Sender sender(options, producer, topic, partitions);
  Phase phase(options);
  const auto counters = [&] { return Counters{sender.sent(), acknowledged, received}; };
  while (phase.advance(now_ns(), counters())) {
    measuring = phase.measuring();
    sender.turn();
  }
  measuring = false;

  Report report;
  phase.report(report, counters(), consuming);
  stopping = true;
  if (consumer_thread.joinable()) consumer_thread.join();
  report.add_percentiles_us(latencies);
  report.add("failed", static_cast<double>(failed));
  report.print();
  // Destroying the clients would first send what is still queued.
  _exit(failed > 0 ? 1 : 0);
}

}  // namespace
}  // namespace polylog::bench

int main(int argc, char** argv) { return polylog::bench::run(polylog::bench::Options(argc, argv)); }
