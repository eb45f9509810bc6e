#include "server/config.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace polylog::server {

base::Result<ProtocolAddress> parse_protocol_address(std::string_view text) {
  const size_t equals = text.find('=');
  const auto name = std::ranges::find(kProtocolNames, text.substr(0, equals));
  if (equals == std::string_view::npos || name == kProtocolNames.end()) {
    return base::fail(base::ErrorCode::kInvalid, "'" + std::string(text) +
                                                     "' is not PROTOCOL=HOST:PORT; the protocols are kafka, amqp and "
                                                     "admin, for example kafka=127.0.0.1:9092");
  }
  TRY_ASSIGN(io::Endpoint endpoint, io::parse_endpoint(text.substr(equals + 1)));
  return ProtocolAddress{static_cast<Protocol>(name - kProtocolNames.begin()), std::move(endpoint)};
}

std::string to_text(const ProtocolAddress& address) {
  const bool brackets = address.endpoint.host.find(':') != std::string::npos;
  std::string text(name_of(address.protocol));
  text += '=';
  text += brackets ? '[' + address.endpoint.host + ']' : address.endpoint.host;
  return text + ':' + std::to_string(address.endpoint.port);
}

MemoryShares shares_of(uint64_t memory_bytes_max) {
  return {
      .ingress_bytes = memory_bytes_max / 4,
      .tail_bytes = memory_bytes_max / 2,
      .egress_bytes = memory_bytes_max / 8,
      .state_bytes = memory_bytes_max / 8,
  };
}

size_t partitions_max_of(uint64_t memory_bytes_max) {
  constexpr uint64_t kMemoryBytesPerPartition = 10 * base::limits::kKiB;
  return memory_bytes_max / kMemoryBytesPerPartition;
}

uint64_t compact_memory_bytes_of(const Config& config, const MemoryShares& shares) {
  constexpr uint64_t kAutoMax = 128 * base::limits::kMiB;
  return config.storage.compact_memory_bytes != 0 ? config.storage.compact_memory_bytes
                                                  : std::min(shares.state_bytes / 4, kAutoMax);
}

uint64_t memory_bytes_max_of(const Config& config, uint64_t machine_bytes) {
  return std::max(config.memory_bytes_max != 0 ? config.memory_bytes_max : machine_bytes / 4, kMemoryBytesMin);
}

uint64_t machine_memory_bytes() {
  const uint64_t ram = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  std::ifstream limit_file("/sys/fs/cgroup/memory.max");  // "max" where there is no limit
  uint64_t limit = 0;
  return limit_file >> limit ? std::min(ram, limit) : ram;
}

}  // namespace polylog::server
