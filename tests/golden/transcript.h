// Transcript: what one scenario's connections said, in the order in which it was said. README.md has the file format.
// Reads files only; knows no protocol.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace polylog::golden {

using Bytes = std::vector<uint8_t>;

struct Event {
  enum class Kind : uint8_t { kToBroker, kFromBroker, kClientEnds, kBrokerEnds };
  int64_t number = 0;
  size_t connection = 0;
  Kind kind = Kind::kToBroker;
  Bytes bytes;
};

struct Transcript {
  std::string name;      // "kafka/kcat"
  std::string protocol;  // "kafka"
  int64_t wall_ms = 0;   // when it was recorded
  size_t connections = 0;
  std::vector<Event> events;
  size_t bytes_to_broker() const;
};

// One for each directory DIR/PROTOCOL/SCENARIO that has transcripts. Throws std::runtime_error, naming file and line.
std::vector<Transcript> load_transcripts(const std::filesystem::path& directory);

}  // namespace polylog::golden
