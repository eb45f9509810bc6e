// Strong integer types: two different positions or ids never mix, and none converts to int by itself.
//
//   Offset - Offset = OffsetCount, Offset + OffsetCount = Offset; Offset + Offset does not compile.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

namespace polylog::base {

// An identity or an ordinal: comparable and hashable, no arithmetic but next().
template <typename Tag, typename Int>
struct StrongId {
  Int value{};
  constexpr StrongId() = default;
  constexpr explicit StrongId(Int v) : value(v) {}
  constexpr StrongId next() const { return StrongId(static_cast<Int>(value + 1)); }
  friend constexpr auto operator<=>(const StrongId&, const StrongId&) = default;
};

// A length in some unit; the difference of two positions of the same Tag.
template <typename Tag>
struct Count {
  int64_t value{};
  constexpr Count() = default;
  constexpr explicit Count(int64_t v) : value(v) {}
  friend constexpr auto operator<=>(const Count&, const Count&) = default;
};

// A place on an axis.
template <typename Tag>
struct Position {
  int64_t value{};
  constexpr Position() = default;
  constexpr explicit Position(int64_t v) : value(v) {}
  constexpr Position next() const { return Position(value + 1); }
  friend constexpr auto operator<=>(const Position&, const Position&) = default;
  friend constexpr Position operator+(Position a, Count<Tag> n) { return Position(a.value + n.value); }
  friend constexpr Position operator-(Position a, Count<Tag> n) { return Position(a.value - n.value); }
  friend constexpr Count<Tag> operator-(Position a, Position b) { return Count<Tag>(a.value - b.value); }
};

using Offset = Position<struct OffsetTag>;  // of an entry in its partition, from 0
using OffsetCount = Count<struct OffsetTag>;
using Lsn = StrongId<struct LsnTag, uint64_t>;  // counts mutations of one cell, from 1; 0 = before all
using SlotSeq = StrongId<struct SlotSeqTag, uint64_t>;
using Epoch = StrongId<struct EpochTag, uint32_t>;  // of a cell; rises at every start
using CellId = StrongId<struct CellTag, uint16_t>;
using CoreId = StrongId<struct CoreTag, uint16_t>;

struct Uuid {
  std::array<uint8_t, 16> bytes{};
  friend constexpr auto operator<=>(const Uuid&, const Uuid&) = default;
  bool is_nil() const { return *this == Uuid{}; }
  std::string to_string() const;  // 8-4-4-4-12 hex digits
  static Uuid random();           // version 4, from the OS; not for the simulator, which makes its own
};

struct PartitionKey {
  Uuid stream;
  uint32_t index = 0;
  friend constexpr auto operator<=>(const PartitionKey&, const PartitionKey&) = default;
};

inline size_t hash_bytes(const void* data, size_t size) {
  return std::hash<std::string_view>{}({static_cast<const char*>(data), size});
}

// Hash that is the same on every machine and in every build: for placement that is stored (FNV-1a with a finalizer).
uint64_t stable_hash(std::string_view bytes);

}  // namespace polylog::base

template <typename Tag, typename Int>
struct std::hash<polylog::base::StrongId<Tag, Int>> {
  size_t operator()(const polylog::base::StrongId<Tag, Int>& id) const { return std::hash<Int>{}(id.value); }
};
template <>
struct std::hash<polylog::base::Uuid> {
  size_t operator()(const polylog::base::Uuid& uuid) const {  // uuids are random: any eight bytes are a hash
    uint64_t word;
    std::memcpy(&word, uuid.bytes.data(), sizeof word);
    return word;
  }
};
template <>
struct std::hash<polylog::base::PartitionKey> {
  size_t operator()(const polylog::base::PartitionKey& key) const {
    return std::hash<polylog::base::Uuid>{}(key.stream) + key.index * 0x9E3779B97F4A7C15ull;
  }
};
