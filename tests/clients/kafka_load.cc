// A Kafka producer under load that writes down what was acknowledged, and a reader that checks it afterwards.
//
//   kafka_load produce BROKERS TOPIC PARTITIONS FIRST_ID MESSAGES_PER_SECOND [KEY=VALUE...]
//     Runs until SIGTERM, with acks=all, whatever happens to the broker. One line a delivered message on stdout:
//     PARTITION OFFSET ID
//   kafka_load verify BROKERS TOPIC PARTITIONS FILE...
//     Reads every partition whole and checks that each line of the files names an offset that holds that message.
//     Prints `ACKED acked, READ read, LOST lost`, and exits 1 when something was lost.
//   kafka_load verify-once ...
//     Also counts as lost when a message is there twice: for idempotent producers.
//
// A message's bytes follow from its id, so that nothing but the id needs to be kept.
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>

namespace {

using Clock = std::chrono::steady_clock;

volatile std::sig_atomic_t stopping = 0;

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "kafka_load: %s\n", what.c_str());
  std::exit(2);
}

std::string payload_of(uint64_t id) {
  uint64_t state = (id + 1) * 0x9e3779b97f4a7c15u;
  std::string bytes(20 + state % 1500, '\0');
  for (char& byte : bytes) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    byte = static_cast<char>(state);
  }
  std::memcpy(bytes.data(), &id, sizeof id);
  return bytes;
}

void set(rd_kafka_conf_t* conf, const std::string& key, const std::string& value) {
  char error[512];
  if (rd_kafka_conf_set(conf, key.c_str(), value.c_str(), error, sizeof error) != RD_KAFKA_CONF_OK) die(error);
}

rd_kafka_t* make_client(rd_kafka_type_t type, rd_kafka_conf_t* conf, const char* brokers) {
  set(conf, "bootstrap.servers", brokers);
  set(conf, "log_level", "2");  // a broker that goes away is what we are here for
  char error[512];
  rd_kafka_t* client = rd_kafka_new(type, conf, error, sizeof error);
  if (!client) die(error);
  return client;
}

void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
  if (message->err) return;
  uint64_t id = 0;
  std::memcpy(&id, message->payload, sizeof id);
  std::printf("%d %lld %llu\n", message->partition, static_cast<long long>(message->offset),
              static_cast<unsigned long long>(id));
}

int produce(const char* brokers, const char* topic_name, int partitions, uint64_t id, int per_second, char** settings) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  set(conf, "acks", "all");
  set(conf, "linger.ms", "1");
  set(conf, "queue.buffering.max.messages", "20000");
  set(conf, "reconnect.backoff.max.ms", "200");
  for (; *settings; ++settings) {
    const std::string setting = *settings;
    const size_t equals = setting.find('=');
    if (equals == std::string::npos) die("not KEY=VALUE: " + setting);
    set(conf, setting.substr(0, equals), setting.substr(equals + 1));
  }
  rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  rd_kafka_t* client = make_client(RD_KAFKA_PRODUCER, conf, brokers);
  rd_kafka_topic_t* topic = rd_kafka_topic_new(client, topic_name, nullptr);

  const auto begin = Clock::now();
  uint64_t sent = 0;
  while (!stopping) {
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    const auto due = static_cast<uint64_t>(seconds * per_second);
    while (sent < due && !stopping) {
      const std::string bytes = payload_of(id);
      if (rd_kafka_produce(topic, static_cast<int32_t>(id % static_cast<uint64_t>(partitions)), RD_KAFKA_MSG_F_COPY,
                           const_cast<char*>(bytes.data()), bytes.size(), nullptr, 0, nullptr) != 0) {
        break;  // its queue is full, or the topic is not known yet
      }
      ++id;
      ++sent;
    }
    rd_kafka_poll(client, 1);
    std::fflush(stdout);
  }
  std::fflush(stdout);
  std::_Exit(0);  // what is still queued is nobody's promise
}

// (partition, offset) -> id
using Acked = std::unordered_map<uint64_t, uint64_t>;

uint64_t place(int partition, int64_t offset) {
  return static_cast<uint64_t>(partition) << 48 | static_cast<uint64_t>(offset);
}

Acked read_acked(char** files, int& twice) {
  Acked acked;
  for (; *files; ++files) {
    std::FILE* file = std::fopen(*files, "r");
    if (!file) die(std::string("cannot read ") + *files);
    char line[128];
    int partition;
    long long offset;
    unsigned long long id;
    while (std::fgets(line, sizeof line, file)) {
      // A killed producer's last line may be cut short, and would then name another message.
      if (!std::strchr(line, '\n') || std::sscanf(line, "%d %lld %llu", &partition, &offset, &id) != 3) continue;
      if (offset < 0) continue;  // an idempotent producer's retry, acked without saying where
      const auto [at, added] = acked.emplace(place(partition, offset), id);
      if (!added && at->second != id) {
        std::printf("partition %d offset %lld was acked for message %llu and for %llu\n", partition, offset,
                    static_cast<unsigned long long>(at->second), id);
        ++twice;
      }
    }
    std::fclose(file);
  }
  return acked;
}

struct Range {
  int64_t low = 0, high = 0;
};

Range range_of(rd_kafka_t* client, const char* topic, int partition) {
  Range range;
  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
  for (int attempt = 0; attempt < 20; ++attempt) {
    error = rd_kafka_query_watermark_offsets(client, topic, partition, &range.low, &range.high, 2000);
    if (!error) return range;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  die(std::string("no offsets of partition ") + std::to_string(partition) + ": " + rd_kafka_err2str(error));
}

bool same(const rd_kafka_message_t& message, uint64_t id) {
  const std::string expected = payload_of(id);
  return message.len == expected.size() && std::memcmp(message.payload, expected.data(), message.len) == 0;
}

// What verify looks for while it reads.
struct Check {
  Acked acked;                        // not seen yet
  bool once = false;                  // no id may come twice
  std::unordered_set<uint64_t> seen;  // ids, kept only then
  int wrong = 0;
  uint64_t read = 0;

  void see(const rd_kafka_message_t& message) {
    ++read;
    const auto at = acked.find(place(message.partition, message.offset));
    if (at != acked.end()) {
      if (!same(message, at->second)) complain(message, "holds another message than was acked");
      acked.erase(at);
    }
    uint64_t id = 0;
    std::memcpy(&id, message.payload, std::min(message.len, sizeof id));
    if (once && !seen.insert(id).second) complain(message, "holds a message that was there before");
  }

  void complain(const rd_kafka_message_t& message, const char* what) {
    std::printf("partition %d offset %lld %s\n", message.partition, static_cast<long long>(message.offset), what);
    ++wrong;
  }
};

void check_partition(rd_kafka_t* client, const char* topic, int partition, Check& check) {
  const Range range = range_of(client, topic, partition);
  rd_kafka_topic_partition_list_t* assignment = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(assignment, topic, partition)->offset = range.low;
  rd_kafka_assign(client, assignment);
  rd_kafka_topic_partition_list_destroy(assignment);
  auto progress = Clock::now();
  for (int64_t next = range.low; next < range.high;) {
    rd_kafka_message_t* message = rd_kafka_consumer_poll(client, 1000);
    if (message && !message->err) {
      if (message->offset != next) check.complain(*message, "came before those below it");
      check.see(*message);
      next = message->offset + 1;
      progress = Clock::now();
    }
    if (message) rd_kafka_message_destroy(message);
    if (Clock::now() - progress > std::chrono::seconds(20)) {
      std::printf("partition %d: nothing comes at offset %lld of %lld\n", partition, static_cast<long long>(next),
                  static_cast<long long>(range.high));
      return;
    }
  }
}

int verify(const char* brokers, const char* topic, int partitions, bool once, char** files) {
  Check check;
  check.once = once;
  check.acked = read_acked(files, check.wrong);
  const size_t acked_count = check.acked.size();
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  set(conf, "group.id", "verify");
  set(conf, "enable.auto.commit", "false");
  set(conf, "auto.offset.reset", "error");
  set(conf, "fetch.wait.max.ms", "20");
  set(conf, "check.crcs", "true");
  rd_kafka_t* client = make_client(RD_KAFKA_CONSUMER, conf, brokers);
  rd_kafka_poll_set_consumer(client);
  for (int partition = 0; partition < partitions; ++partition) check_partition(client, topic, partition, check);
  const size_t lost = check.acked.size() + static_cast<size_t>(check.wrong);
  int shown = 0;
  for (const auto& [where, id] : check.acked) {
    if (++shown > 5) break;
    std::printf("partition %llu offset %llu: acked and not there\n", static_cast<unsigned long long>(where >> 48),
                static_cast<unsigned long long>(where & ((uint64_t{1} << 48) - 1)));
  }
  std::printf("%zu acked, %llu read, %zu lost\n", acked_count, static_cast<unsigned long long>(check.read), lost);
  std::fflush(stdout);
  std::_Exit(lost ? 1 : 0);  // closing a consumer would wait for its group
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGTERM, [](int) { stopping = 1; });
  std::signal(SIGPIPE, SIG_IGN);
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "produce" && argc >= 7) {
    return produce(argv[2], argv[3], std::atoi(argv[4]), std::strtoull(argv[5], nullptr, 10), std::atoi(argv[6]),
                   argv + 7);
  }
  const bool once = mode == "verify-once";
  if ((mode == "verify" || once) && argc >= 6) return verify(argv[2], argv[3], std::atoi(argv[4]), once, argv + 5);
  die("usage: kafka_load produce BROKERS TOPIC PARTITIONS FIRST_ID PER_SECOND [KEY=VALUE...]"
      " | verify BROKERS TOPIC PARTITIONS FILE...");
}
