// Encoder and Decoder: the two visitors that the generated field lists in gen/*.cc are run with. Included only there.
//
//                  classic                  flexible (compact)
//   string         int16 length, -1 = null  uvarint length + 1, 0 = null
//   bytes          int32 length, -1 = null  uvarint length + 1, 0 = null
//   array          int32 count, -1 = null   uvarint count + 1, 0 = null
//   nullable struct  int8 -1 = null, 1 = the struct follows: in both
//   end of struct  nothing                  uvarint count, then { uvarint tag, uvarint size, payload } ascending
//
// A generated `fields(io, message)` calls io(field) for each field of io.version(), in wire order, then io.tags(...).
#pragma once

#include <algorithm>
#include <type_traits>
#include <utility>

#include "base/check.h"
#include "protocol/kafka/gen/api_table.h"
#include "protocol/kafka/limits.h"
#include "protocol/kafka/message.h"

namespace polylog::kafka {

struct VersionRange {
  int16_t first, last, flexible_from;
  constexpr bool contains(int16_t v) const { return first <= v && v <= last; }
};

template <typename Io, typename M>
using Ref = typename Io::template Ref<M>;

template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};
template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};

template <typename T>
concept StructMessage = std::is_class_v<T> && std::is_aggregate_v<T> && !std::is_same_v<T, base::Uuid> &&
                        !std::is_same_v<T, StreamedRecords>;

// A field of a tag section. It is written only if it differs from its default.
template <typename F>
struct Tag {
  uint32_t id;
  F& field;
  std::remove_const_t<F> default_value;
  int16_t first_version = 0;
  Tag since(int16_t version) const { return {id, field, default_value, version}; }
};
template <typename F>
Tag<F> tag(uint32_t id, F& field, std::type_identity_t<std::remove_const_t<F>> default_value = {}) {
  return {id, field, std::move(default_value)};
}

// The fewest bytes an array element takes, to refuse counts that the rest of the frame cannot hold.
template <typename T>
constexpr size_t element_bytes_min() {
  if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) return sizeof(T);
  if constexpr (requires { least_bytes(static_cast<const T*>(nullptr)); }) {
    return least_bytes(static_cast<const T*>(nullptr));
  }
  return 1;
}

template <bool kFlex>
class Decoder {
 public:
  template <typename M>
  using Ref = M&;

  Decoder(base::Reader& in, int16_t version, size_t& elements_left)
      : in_(in), version_(version), elements_left_(elements_left) {}
  int16_t version() const { return version_; }

  template <typename T>
  void operator()(T& field) {
    if constexpr (IsOptional<T>::value) {
      nullable(field, true);
    } else if constexpr (requires { get(field); }) {
      if (!get(field)) in_.set_failed();
    } else if constexpr (requires { scalar(field); }) {
      scalar(field);
    } else {
      fields(*this, field);
    }
  }

  template <typename T>
  void nullable(std::optional<T>& field, bool null_allowed) {
    T value{};
    if (get_present(value)) {
      field = std::move(value);
    } else {
      field.reset();
      if (!null_allowed) in_.set_failed();
    }
  }

  template <typename... F>
  void tags(Tag<F>... known) {
    if constexpr (kFlex) {
      const uint32_t count = in_.uvarint32();
      for (uint32_t i = 0; i < count && in_.ok(); ++i) {
        const uint32_t id = in_.uvarint32();
        base::Reader payload(in_.bytes(in_.uvarint32()));
        (read_tag(known, id, payload), ...);
      }
    }
  }

 private:
  void scalar(bool& v) { v = in_.u8() != 0; }
  void scalar(int8_t& v) { v = in_.i8(); }
  void scalar(int16_t& v) { v = in_.i16be(); }
  void scalar(int32_t& v) { v = in_.i32be(); }
  void scalar(int64_t& v) { v = in_.i64be(); }
  void scalar(ErrorCode& v) { v = static_cast<ErrorCode>(in_.i16be()); }
  void scalar(base::Uuid& v) {
    const base::View bytes = in_.bytes(v.bytes.size());
    std::copy(bytes.begin(), bytes.end(), v.bytes.begin());
  }

  // The get functions return false for null, and after a failure.
  bool get(std::string_view& v) {
    const int64_t size = kFlex ? compact_length() : in_.i16be();
    if (size > static_cast<int64_t>(limits::kStringBytesMax)) in_.set_failed();
    if (!length_is_good(size)) return false;
    v = in_.text(static_cast<size_t>(size));
    return in_.ok();
  }
  bool get(std::string& v) {
    std::string_view view;
    if (!get(view)) return false;
    v = view;
    return true;
  }
  bool get(base::View& v) {
    const int64_t size = kFlex ? compact_length() : in_.i32be();
    if (!length_is_good(size)) return false;
    v = in_.bytes(static_cast<size_t>(size));
    return in_.ok();
  }
  bool get(StreamedRecords& v) {
    if (!get(v.bytes)) return false;
    v.size_bytes = static_cast<uint32_t>(v.bytes.size());
    return true;
  }
  template <StructMessage T>
  bool get_present(T& v) {
    const int8_t presence = in_.i8();
    if (presence < -1) in_.set_failed();
    if (presence < 0 || !in_.ok()) return false;
    fields(*this, v);
    return in_.ok();
  }
  template <typename T>
  bool get_present(T& v) {
    return get(v);
  }
  template <typename T>
  bool get(std::vector<T>& v) {
    const int64_t count = kFlex ? compact_length() : in_.i32be();
    if (!length_is_good(count)) return false;
    const size_t elements = static_cast<size_t>(count);
    if (elements > in_.remaining() / element_bytes_min<T>() || elements > elements_left_) {
      in_.set_failed();
      return false;
    }
    elements_left_ -= elements;
    v.resize(elements);
    for (T& element : v) {
      (*this)(element);
      if (!in_.ok()) return false;
    }
    return true;
  }

  int64_t compact_length() { return static_cast<int64_t>(in_.uvarint32()) - 1; }
  bool length_is_good(int64_t length) {
    if (length < -1) in_.set_failed();
    return length >= 0 && in_.ok();
  }

  template <typename F>
  void read_tag(const Tag<F>& known, uint32_t id, base::Reader& payload) {
    if (known.id != id || version_ < known.first_version) return;
    Decoder inner(payload, version_, elements_left_);
    inner(known.field);
    if (!payload.ok()) in_.set_failed();
  }

  base::Reader& in_;
  int16_t version_;
  size_t& elements_left_;
};

template <bool kFlex>
class Encoder {
 public:
  template <typename M>
  using Ref = const M&;

  Encoder(base::Writer& out, int16_t version, std::vector<RecordsAt>* records)
      : out_(out), version_(version), records_(records) {}
  int16_t version() const { return version_; }

  template <typename T>
  void operator()(const T& field) {
    if constexpr (IsOptional<T>::value) {
      nullable(field, true);
    } else if constexpr (requires { put(field); }) {
      put(field);
    } else {
      fields(*this, field);
    }
  }

  template <typename T>
  void nullable(const std::optional<T>& field, bool null_allowed) {
    if (field) {
      if constexpr (StructMessage<T>) out_.i8(1);
      (*this)(*field);
    } else if (null_allowed) {
      put_null(static_cast<const T*>(nullptr));
    } else {
      (*this)(T{});
    }
  }

  template <typename... F>
  void tags(const Tag<F>&... known) {
    if constexpr (kFlex) {
      out_.uvarint((size_t{0} + ... + (must_write(known) ? 1 : 0)));
      (write_tag(known), ...);
    }
  }

 private:
  void put(bool v) { out_.u8(v ? 1 : 0); }
  void put(int8_t v) { out_.i8(v); }
  void put(int16_t v) { out_.i16be(v); }
  void put(int32_t v) { out_.i32be(v); }
  void put(int64_t v) { out_.i64be(v); }
  void put(ErrorCode v) { out_.i16be(static_cast<int16_t>(v)); }
  void put(const base::Uuid& v) { out_.bytes(v.bytes); }
  void put(std::string_view v) {
    v = v.substr(0, limits::kStringBytesMax);
    if constexpr (kFlex) {
      out_.uvarint(v.size() + 1);
    } else {
      out_.i16be(static_cast<int16_t>(v.size()));
    }
    out_.text(v);
  }
  void put(base::View v) {
    put_length(v.size());
    out_.bytes(v);
  }
  void put(const StreamedRecords& v) {
    put_length(v.size_bytes);
    records_->push_back({out_.size(), v.size_bytes});
  }
  template <typename T>
  void put(const std::vector<T>& v) {
    put_length(v.size());
    for (const T& element : v) (*this)(element);
  }

  void put_length(size_t length) {
    if constexpr (kFlex) {
      out_.uvarint(length + 1);
    } else {
      out_.i32be(static_cast<int32_t>(length));
    }
  }
  template <typename T>
  void put_null(const T*) {
    if constexpr (StructMessage<T>) {
      out_.i8(-1);
    } else if constexpr (kFlex) {
      out_.u8(0);
    } else if constexpr (std::is_convertible_v<T, std::string_view>) {
      out_.i16be(-1);
    } else {
      out_.i32be(-1);
    }
  }

  template <typename F>
  bool must_write(const Tag<F>& known) const {
    return version_ >= known.first_version && !(known.field == known.default_value);
  }
  template <typename F>
  void write_tag(const Tag<F>& known) {
    if (!must_write(known)) return;
    base::Writer payload;
    Encoder inner(payload, version_, records_);
    inner(known.field);
    out_.uvarint(known.id);
    out_.uvarint(payload.size());
    out_.bytes(payload.view());
  }

  base::Writer& out_;
  int16_t version_;
  std::vector<RecordsAt>* records_;
};

template <VersionRange kVersions, size_t kElementsMax, typename M>
bool decode_message(base::Reader& in, int16_t version, M& message) {
  if (!kVersions.contains(version)) return false;
  size_t elements_left = kElementsMax;
  if constexpr (kVersions.flexible_from <= kVersions.last) {
    if (version >= kVersions.flexible_from) {
      Decoder<true> io(in, version, elements_left);
      fields(io, message);
      return in.ok();
    }
  }
  if constexpr (kVersions.flexible_from > kVersions.first) {
    Decoder<false> io(in, version, elements_left);
    fields(io, message);
  }
  return in.ok();
}

template <VersionRange kVersions, typename M>
void encode_message(base::Writer& out, int16_t version, const M& message, std::vector<RecordsAt>* records = nullptr) {
  CHECK(kVersions.contains(version), "a response has its request's version");
  if constexpr (kVersions.flexible_from <= kVersions.last) {
    if (version >= kVersions.flexible_from) {
      Encoder<true> io(out, version, records);
      fields(io, message);
      return;
    }
  }
  if constexpr (kVersions.flexible_from > kVersions.first) {
    Encoder<false> io(out, version, records);
    fields(io, message);
  }
}

}  // namespace polylog::kafka
