#include "tests/golden/transcript.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace polylog::golden {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFirstLine = "# polylog golden transcript 1";

std::vector<fs::path> sorted_entries(const fs::path& directory) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(directory)) paths.push_back(entry.path());
  std::ranges::sort(paths);
  return paths;
}

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  throw std::runtime_error("not a hex digit");
}

Bytes from_hex(const std::string& hex) {
  if (hex.size() % 2 != 0) throw std::runtime_error("an odd number of hex digits");
  Bytes bytes(hex.size() / 2);
  for (size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<uint8_t>(digit_of(hex[2 * i]) << 4 | digit_of(hex[2 * i + 1]));
  return bytes;
}

Event parse_event(const std::string& line, size_t connection) {
  std::istringstream in(line);
  Event event{.connection = connection};
  char direction = 0;
  std::string what;
  if (!(in >> event.number >> direction >> what) || (direction != '>' && direction != '<'))
    throw std::runtime_error("not 'number direction bytes'");
  if (what == "end") {
    event.kind = direction == '>' ? Event::Kind::kClientEnds : Event::Kind::kBrokerEnds;
  } else {
    event.kind = direction == '>' ? Event::Kind::kToBroker : Event::Kind::kFromBroker;
    event.bytes = from_hex(what);
  }
  return event;
}

void read_file(const fs::path& path, Transcript& transcript) {
  std::ifstream in(path);
  std::string line;
  if (!std::getline(in, line) || line != kFirstLine) throw std::runtime_error(path.string() + ": not a transcript");
  for (size_t number = 2; std::getline(in, line); ++number) {
    constexpr std::string_view kWall = "# wall-ms ";
    try {
      if (line.starts_with(kWall)) transcript.wall_ms = std::stoll(line.substr(kWall.size()));
      if (!line.starts_with('#')) transcript.events.push_back(parse_event(line, transcript.connections));
    } catch (const std::exception& error) {
      throw std::runtime_error(path.string() + ":" + std::to_string(number) + ": " + error.what());
    }
  }
  ++transcript.connections;
}

}  // namespace

size_t Transcript::bytes_to_broker() const {
  size_t bytes = 0;
  for (const Event& event : events) bytes += event.kind == Event::Kind::kToBroker ? event.bytes.size() : 0;
  return bytes;
}

std::vector<Transcript> load_transcripts(const fs::path& directory) {
  std::vector<Transcript> transcripts;
  for (const char* protocol : {"amqp", "kafka"}) {
    for (const fs::path& scenario : sorted_entries(directory / protocol)) {
      Transcript transcript{.name = std::string(protocol) + "/" + scenario.filename().string(), .protocol = protocol};
      for (const fs::path& file : sorted_entries(scenario)) read_file(file, transcript);
      std::ranges::sort(transcript.events, {}, &Event::number);
      transcripts.push_back(std::move(transcript));
    }
  }
  return transcripts;
}

}  // namespace polylog::golden
