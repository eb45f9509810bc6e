// The three length-prefixed things AMQP 0-9-1 methods and properties are made of.
//
//   shortstr  u8 length  | bytes          longstr  u32 length | bytes          table  u32 length | entries
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/wire.h"

namespace polylog::amqp {

inline constexpr size_t kShortstrBytesMax = 255;

// Longest prefix of `text` that fits a shortstr and does not cut a UTF-8 character in two.
constexpr std::string_view clip_to_shortstr(std::string_view text) {
  if (text.size() <= kShortstrBytesMax) return text;
  size_t size = kShortstrBytesMax;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  return text.substr(0, size);
}

inline std::string_view read_shortstr(base::Reader& in) { return in.text(in.u8()); }
inline std::string_view read_longstr(base::Reader& in) { return in.text(in.u32be()); }
inline base::View read_table(base::Reader& in) { return in.bytes(in.u32be()); }

// What does not fit is clipped: names are checked long before, so only reply texts can be longer.
inline void write_shortstr(base::Writer& out, std::string_view text) {
  text = clip_to_shortstr(text);
  out.u8(static_cast<uint8_t>(text.size()));
  out.text(text);
}
inline void write_longstr(base::Writer& out, std::string_view text) {
  out.u32be(static_cast<uint32_t>(text.size()));
  out.text(text);
}
inline void write_table(base::Writer& out, base::View entries) {
  out.u32be(static_cast<uint32_t>(entries.size()));
  out.bytes(entries);
}

}  // namespace polylog::amqp
