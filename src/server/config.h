// Config: everything a user can set, with its default. settings.h has the one table that names, parses and lists it.
// Plain data, constant once serve() runs; 0 in a field marked "auto" is resolved by whoever uses it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/log.h"
#include "io/net.h"

namespace polylog::server {

enum class Protocol : uint8_t { kKafka, kAmqp, kAdmin };
inline constexpr std::array<std::string_view, 3> kProtocolNames = {"kafka", "amqp", "admin"};
inline std::string_view name_of(Protocol protocol) { return kProtocolNames[static_cast<size_t>(protocol)]; }

struct ProtocolAddress {
  Protocol protocol;
  io::Endpoint endpoint;
};
// "kafka=127.0.0.1:9092"
base::Result<ProtocolAddress> parse_protocol_address(std::string_view text);
std::string to_text(const ProtocolAddress& address);

enum class Durability : uint8_t { kCommit, kInterval };
enum class StorageIo : uint8_t { kAuto, kPosix };

struct Config {
  std::string data_dir = "./polylog-data";
  std::vector<ProtocolAddress> listen = {
      {Protocol::kKafka, {"127.0.0.1", 9092}},
      {Protocol::kAmqp, {"127.0.0.1", 5672}},
      {Protocol::kAdmin, {"127.0.0.1", 7400}},
  };
  std::vector<ProtocolAddress> advertise = {};  // at most one a protocol; none: the listener's own
  uint32_t cores = 0;                           // auto: the CPUs of the affinity mask
  Durability durability = Durability::kCommit;
  uint32_t durability_interval_ms = 100;
  uint64_t memory_bytes_max = 0;  // auto: memory_bytes_max_of() resolves it

  struct Storage {
    StorageIo io = StorageIo::kAuto;
    uint64_t wal_file_bytes = 0;  // auto
    uint64_t reserve_bytes = base::limits::kReserveBytesDefault;
    uint32_t cells = 0;  // auto: one a core; counts only when the data directory is created
    uint32_t wal_keep_files = 4;
    uint64_t burst_bytes = 2 * base::limits::kGiB;              // of one cell; less on a small file system
    uint64_t checkpoint_wal_bytes = 256 * base::limits::kMiB;   // of one cell
    uint64_t pack_bytes_per_second = 256 * base::limits::kMiB;  // of one cell
    uint64_t compact_memory_bytes = 0;                          // auto: compact_memory_bytes_of() resolves it
  } storage = {};

  struct Kafka {
    uint32_t broker_id = 1;
    bool auto_create_topics = true;
    uint32_t num_partitions = 1;
    uint32_t message_max_bytes = 1'048'588;  // Kafka's own default; a topic's max.message.bytes goes before it
    uint32_t initial_rebalance_delay_ms = 3'000;
    uint64_t offsets_retention_ms = uint64_t{7} * 24 * 3600 * 1000;
    uint32_t consumer_session_timeout_ms = 45'000;
    uint32_t consumer_heartbeat_interval_ms = 5'000;
  } kafka = {};

  struct Amqp {
    uint16_t heartbeat_s = 60;
    uint32_t frame_bytes_max = 131'072;
    uint16_t channel_max = 2'047;
    uint32_t message_bytes_max = 16 * base::limits::kMiB;
  } amqp = {};

  struct Log {
    base::LogLevel level = base::LogLevel::kInfo;
    base::LogFormat format = base::LogFormat::kText;
    uint32_t slow_operation_ms = 1'000;  // 0: none is logged
  } log = {};
  // Where a setting's value came from, by key: "file polylog.toml", "--set", "--cores". Not there: it is the default.
  std::map<std::string, std::string, std::less<>> sources = {};
};

inline constexpr uint64_t kMemoryBytesMin = 64 * base::limits::kMiB;

// What memory_bytes_max is spent on.
struct MemoryShares {
  uint64_t ingress_bytes;  // requests under way, until they are durable
  uint64_t tail_bytes;     // recent batches that readers find in RAM
  uint64_t egress_bytes;   // replies and deliveries that peers have not read
  uint64_t state_bytes;  // messages of transient queues; as much again for groups and what is committed in their names
};
MemoryShares shares_of(uint64_t memory_bytes_max);
// Streams' partitions and queues that there may be: each takes 2.5 to 4 KiB, beside the shares above, which are seldom
// all used up.
size_t partitions_max_of(uint64_t memory_bytes_max);

// The setting, or, where it is auto, a quarter of what state may take, at most 128 MiB.
uint64_t compact_memory_bytes_of(const Config& config, const MemoryShares& shares);

// The setting, or a quarter of `machine_bytes` where it is auto; never below kMemoryBytesMin.
uint64_t memory_bytes_max_of(const Config& config, uint64_t machine_bytes);
uint64_t machine_memory_bytes();  // RAM, or the cgroup's limit where that is lower

}  // namespace polylog::server
