// Reader and Writer: bounds-checked cursors over bytes. Big-endian (be) for network formats, little-endian (le) for disk.
//
// Reader has a sticky error: after the first read past the end every read returns zero or empty and ok() is false, so a
// decoder checks once, at the end. It never allocates and never throws. Views it returns borrow the input.
// Writer appends to a std::vector it owns or borrows.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace polylog::base {

class Reader {
 public:
  explicit Reader(View bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool ok() const { return ok_; }
  bool at_end() const { return at_ == end_; }
  size_t remaining() const { return static_cast<size_t>(end_ - at_); }
  View rest() const { return {at_, remaining()}; }
  void set_failed() {
    ok_ = false;
    at_ = end_;
  }

  View bytes(size_t n) {
    if (n > remaining()) [[unlikely]] {
      set_failed();
      return {};
    }
    View view(at_, n);
    at_ += n;
    return view;
  }
  std::string_view text(size_t n) { return as_text(bytes(n)); }
  void skip(size_t n) { bytes(n); }

  uint8_t u8() { return fixed<uint8_t>(); }
  uint16_t u16be() { return swap_if_little(fixed<uint16_t>()); }
  uint32_t u32be() { return swap_if_little(fixed<uint32_t>()); }
  uint64_t u64be() { return swap_if_little(fixed<uint64_t>()); }
  int8_t i8() { return static_cast<int8_t>(u8()); }
  int16_t i16be() { return static_cast<int16_t>(u16be()); }
  int32_t i32be() { return static_cast<int32_t>(u32be()); }
  int64_t i64be() { return static_cast<int64_t>(u64be()); }
  uint16_t u16le() { return fixed<uint16_t>(); }
  uint32_t u32le() { return fixed<uint32_t>(); }
  uint64_t u64le() { return fixed<uint64_t>(); }
  int64_t i64le() { return static_cast<int64_t>(u64le()); }

  uint32_t uvarint32() {  // LEB128, at most 5 bytes
    const uint64_t value = uvarint(5);
    if (value > UINT32_MAX) set_failed();
    return static_cast<uint32_t>(value);
  }
  uint64_t uvarint64() { return uvarint(10); }
  int32_t varint32() {  // zigzag
    const uint32_t raw = uvarint32();
    return static_cast<int32_t>((raw >> 1) ^ (~(raw & 1) + 1));
  }
  int64_t varint64() {
    const uint64_t raw = uvarint64();
    return static_cast<int64_t>((raw >> 1) ^ (~(raw & 1) + 1));
  }

 private:
  static_assert(std::endian::native == std::endian::little, "le accessors read memory as it lies");
  static uint16_t swap_if_little(uint16_t v) { return __builtin_bswap16(v); }
  static uint32_t swap_if_little(uint32_t v) { return __builtin_bswap32(v); }
  static uint64_t swap_if_little(uint64_t v) { return __builtin_bswap64(v); }

  template <typename T>
  T fixed() {
    if (remaining() < sizeof(T)) [[unlikely]] {
      set_failed();
      return 0;
    }
    T value;
    std::memcpy(&value, at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  uint64_t uvarint(int bytes_max) {
    uint64_t value = 0;
    for (int i = 0; i < bytes_max; ++i) {
      const uint8_t byte = u8();
      value |= static_cast<uint64_t>(byte & 0x7F) << (7 * i);
      if ((byte & 0x80) == 0) return value;
    }
    set_failed();
    return 0;
  }

  const uint8_t* at_;
  const uint8_t* end_;
  bool ok_ = true;
};

class Writer {
 public:
  Writer() : out_(&own_) {}
  explicit Writer(std::vector<uint8_t>& out) : out_(&out) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  std::vector<uint8_t>& buffer() { return *out_; }
  View view() const { return *out_; }
  size_t size() const { return out_->size(); }
  void clear() { out_->clear(); }

  void bytes(View v) { out_->insert(out_->end(), v.begin(), v.end()); }
  void text(std::string_view s) { bytes(as_view(s)); }
  void zeros(size_t n) { out_->resize(out_->size() + n); }

  void u8(uint8_t v) { out_->push_back(v); }
  void u16be(uint16_t v) { fixed(__builtin_bswap16(v)); }
  void u32be(uint32_t v) { fixed(__builtin_bswap32(v)); }
  void u64be(uint64_t v) { fixed(__builtin_bswap64(v)); }
  void i8(int8_t v) { u8(static_cast<uint8_t>(v)); }
  void i16be(int16_t v) { u16be(static_cast<uint16_t>(v)); }
  void i32be(int32_t v) { u32be(static_cast<uint32_t>(v)); }
  void i64be(int64_t v) { u64be(static_cast<uint64_t>(v)); }
  void u16le(uint16_t v) { fixed(v); }
  void u32le(uint32_t v) { fixed(v); }
  void u64le(uint64_t v) { fixed(v); }
  void i64le(int64_t v) { fixed(static_cast<uint64_t>(v)); }
  void uvarint(uint64_t v) {
    for (; v >= 0x80; v >>= 7) u8(static_cast<uint8_t>(v | 0x80));
    u8(static_cast<uint8_t>(v));
  }
  void varint(int64_t v) { uvarint((static_cast<uint64_t>(v) << 1) ^ static_cast<uint64_t>(v >> 63)); }

  // For lengths known only afterwards: `const size_t at = w.size(); w.u32be(0); ...; w.patch_u32be(at, n)`.
  void patch_u32be(size_t at, uint32_t v) {
    v = __builtin_bswap32(v);
    std::memcpy(out_->data() + at, &v, 4);
  }
  void patch_u32le(size_t at, uint32_t v) { std::memcpy(out_->data() + at, &v, 4); }

 private:
  template <typename T>
  void fixed(T v) {
    const size_t at = out_->size();
    out_->resize(at + sizeof v);
    std::memcpy(out_->data() + at, &v, sizeof v);
  }
  std::vector<uint8_t> own_;
  std::vector<uint8_t>* out_;
};

}  // namespace polylog::base
