// What the durable forms of groups are written with (drawn in mutations.h). Readers grow as they read: a false count
// runs into the end of the bytes, not into the allocator. Included by the two files that encode groups.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "base/wire.h"

namespace polylog::broker::group_codec {

inline void put_text(base::Writer& w, std::string_view text) {
  w.uvarint(text.size());
  w.text(text);
}
inline void put_i32(base::Writer& w, int32_t value) { w.u32le(static_cast<uint32_t>(value)); }
inline void put_optional_text(base::Writer& w, const std::optional<std::string>& text) {
  w.u8(text.has_value());
  if (text) put_text(w, *text);
}
inline void put_optional_time(base::Writer& w, const std::optional<base::WallTime>& time) {
  w.u8(time.has_value());
  if (time) w.i64le(time->ms);
}
inline void put_texts(base::Writer& w, const std::vector<std::string>& texts) {
  w.uvarint(texts.size());
  for (const std::string& text : texts) put_text(w, text);
}

inline std::string get_text(base::Reader& r) { return std::string(r.text(r.uvarint64())); }
inline int32_t get_i32(base::Reader& r) { return static_cast<int32_t>(r.u32le()); }
inline base::WallTime get_time(base::Reader& r) { return {r.i64le()}; }
inline bool get_flag(base::Reader& r) {
  const uint8_t flag = r.u8();
  if (flag > 1) r.set_failed();
  return flag == 1;
}
inline std::optional<std::string> get_optional_text(base::Reader& r) {
  if (!get_flag(r)) return std::nullopt;
  return get_text(r);
}
inline std::optional<base::WallTime> get_optional_time(base::Reader& r) {
  if (!get_flag(r)) return std::nullopt;
  return get_time(r);
}
template <typename Get>
auto get_list(base::Reader& r, Get get) {
  std::vector<decltype(get(r))> list;
  for (uint64_t left = r.uvarint64(); left > 0 && r.ok(); --left) list.push_back(get(r));
  return list;
}

}  // namespace polylog::broker::group_codec
