// What the round trip tests of generated messages share: random messages, and the property itself.
// Every message in every version: what encode() writes, decode() reads; nothing shorter is taken for it.
#pragma once

#include <doctest/doctest.h>

#include <deque>
#include <string>
#include <type_traits>

#include "protocol/kafka/gen/api_table.h"
#include "protocol/kafka/gen/for_tests.h"

namespace polylog::kafka::roundtrip {

using Bytes = std::vector<uint8_t>;

// Fills a message with small random values. Owns the text that views point to.
class Filler {
 public:
  explicit Filler(uint32_t seed) : state_(seed) {}

  template <typename T>
  void operator()(T& field) {
    if constexpr (std::is_same_v<T, bool>) {
      field = below(2) == 1;
    } else if constexpr (std::is_integral_v<T>) {
      field = static_cast<T>(int64_t{random()} << 32 | random());
    } else if constexpr (std::is_same_v<T, ErrorCode>) {
      field = static_cast<ErrorCode>(below(134));
    } else if constexpr (std::is_same_v<T, base::Uuid>) {
      for (uint8_t& byte : field.bytes) byte = static_cast<uint8_t>(random());
    } else if constexpr (std::is_convertible_v<T, std::string_view>) {
      field = text();
    } else if constexpr (std::is_same_v<T, base::View>) {
      field = base::as_view(text());
    } else if constexpr (std::is_same_v<T, StreamedRecords>) {
      field.size_bytes = below(5);
    } else {
      compound(field);
    }
  }

 private:
  template <typename T>
  void compound(std::vector<T>& field) {
    field.resize(below(3));
    for (T& element : field) (*this)(element);
  }
  template <typename T>
  void compound(std::optional<T>& field) {
    if (below(3) > 0) (*this)(*(field = T{}));
  }
  template <typename T>
  void compound(T& field) {
    visit(*this, field);
  }
  uint32_t random() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state_ >> 32);
  }
  uint32_t below(uint32_t n) { return random() % n; }
  std::string_view text() { return texts_.emplace_back(below(5), static_cast<char>('a' + below(26))); }

  uint64_t state_;
  std::deque<std::string> texts_;
};

template <typename M>
Bytes encoded(const M& message, int16_t version) {
  base::Writer out;
  if constexpr (std::is_same_v<M, FetchResponse>) {
    std::vector<RecordsAt> holes;
    encode(out, version, message, holes);
    Bytes all = out.buffer();
    for (size_t i = holes.size(); i-- > 0;) {
      all.insert(all.begin() + static_cast<ptrdiff_t>(holes[i].position), holes[i].size_bytes, uint8_t{0xAB});
    }
    return all;
  } else {
    encode(out, version, message);
    return out.buffer();
  }
}

// A message type behind two plain functions, so that the checks below are compiled once.
struct MessageType {
  Bytes (*make)(uint32_t seed, int16_t version);                      // seed 0: all defaults
  std::optional<Bytes> (*recode)(base::View bytes, int16_t version);  // decode all of it, encode again
};

template <typename M>
constexpr MessageType kMessageType = {
    [](uint32_t seed, int16_t version) {
      M message;
      Filler filler(seed);
      if (seed != 0) visit(filler, message);
      return encoded(message, version);
    },
    [](base::View bytes, int16_t version) -> std::optional<Bytes> {
      M message;
      base::Reader in(bytes);
      if (!decode(in, version, message) || !in.at_end()) return std::nullopt;
      return encoded(message, version);
    },
};

inline void check_round_trip(const MessageType& type, int16_t version, uint32_t seed) {
  CAPTURE(version);
  CAPTURE(seed);
  const Bytes bytes = type.make(seed, version);
  const std::optional<Bytes> again = type.recode(bytes, version);
  REQUIRE(again);
  CHECK(*again == bytes);
  for (size_t size = 0; size < bytes.size(); ++size) {
    const Bytes cut(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size));  // a copy, so that sanitizers see it
    REQUIRE_FALSE(type.recode(cut, version));
  }
}

inline void check_all_versions(ApiKey key, const MessageType& type) {
  const ApiRow& row = *find_api(static_cast<int16_t>(key));
  CAPTURE(row.name);
  for (int16_t version = row.served_min; version <= row.max; ++version) {
    for (uint32_t seed = 0; seed <= 8; ++seed) check_round_trip(type, version, seed);
  }
  CHECK_FALSE(type.recode({}, static_cast<int16_t>(row.max + 1)));
  CHECK_FALSE(type.recode({}, static_cast<int16_t>(row.served_min - 1)));
}

}  // namespace polylog::kafka::roundtrip
