// Stamp: what the body of each message begins with. It is read by the process that wrote it, so in its own byte order.
//
//   body   | run u32 | lane u32 | sequence u64 | due u64 | filler |
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace polylog::load {

struct Stamp {
  uint32_t run;  // tells this run's messages from others
  uint32_t lane;
  uint64_t sequence;
  uint64_t due_ns;
};
static_assert(sizeof(Stamp) == 24);

inline constexpr size_t kMessageBytesMin = sizeof(Stamp);
inline constexpr size_t kMessageBytesMax = 1'000'000;  // with its envelope it fits what servers take by default

inline void put_stamp(char* body, const Stamp& stamp) { std::memcpy(body, &stamp, sizeof stamp); }

inline std::optional<Stamp> stamp_of(std::string_view body) {
  if (body.size() < sizeof(Stamp)) return std::nullopt;
  Stamp stamp;
  std::memcpy(&stamp, body.data(), sizeof stamp);
  return stamp;
}

}  // namespace polylog::load
