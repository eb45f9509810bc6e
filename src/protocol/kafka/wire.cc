#include "protocol/kafka/wire.h"

#include <algorithm>

#include "base/check.h"
#include "protocol/kafka/limits.h"

namespace polylog::kafka {
namespace {

constexpr size_t kSizeFieldBytes = 4;

void skip_tags(base::Reader& in) {
  const uint32_t count = in.uvarint32();
  for (uint32_t i = 0; i < count && in.ok(); ++i) {
    in.uvarint32();
    in.skip(in.uvarint32());
  }
}

std::string_view read_client_id(base::Reader& in) {
  const int16_t size = in.i16be();
  if (size < -1) in.set_failed();
  return size > 0 ? in.text(static_cast<size_t>(size)) : std::string_view{};
}

bool response_header_has_tags(ApiKey key, int16_t version) {
  // A client must be able to read the answer to an ApiVersions whose version the broker does not know.
  if (key == ApiKey::kApiVersions) return false;
  const ApiRow* row = find_api(static_cast<int16_t>(key));
  return row != nullptr && row->is_flexible(version);
}

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

}  // namespace

Frame next_frame(base::View buffered) {
  if (buffered.size() < kSizeFieldBytes) return {FrameStatus::kNeedMore, kSizeFieldBytes, {}};
  const int32_t size = base::Reader(buffered).i32be();
  if (size <= 0 || size > limits::kFrameBytesMax) return {FrameStatus::kBad, 0, {}};
  const size_t frame_bytes = kSizeFieldBytes + static_cast<size_t>(size);
  if (buffered.size() < frame_bytes) return {FrameStatus::kNeedMore, frame_bytes, {}};
  return {FrameStatus::kComplete, frame_bytes, buffered.subspan(kSizeFieldBytes, static_cast<size_t>(size))};
}

HeaderStatus read_request_header(base::Reader& in, RequestHeader& header) {
  header.api_key = in.i16be();
  header.api_version = in.i16be();
  header.correlation_id = in.i32be();
  header.client_id = read_client_id(in);
  if (!in.ok()) return HeaderStatus::kMalformed;
  const ApiRow* row = find_api(header.api_key);
  if (row == nullptr) return HeaderStatus::kUnknownApi;
  if (!row->serves(header.api_version)) return HeaderStatus::kUnsupportedVersion;
  if (row->is_flexible(header.api_version)) skip_tags(in);
  return in.ok() ? HeaderStatus::kOk : HeaderStatus::kMalformed;
}

size_t begin_response(base::Writer& out, ApiKey key, int16_t version, int32_t correlation_id) {
  const size_t frame_at = out.size();
  out.u32be(0);
  out.i32be(correlation_id);
  if (response_header_has_tags(key, version)) out.u8(0);
  return frame_at;
}

void end_response(base::Writer& out, size_t frame_at, size_t streamed_bytes) {
  const size_t size = out.size() - frame_at - kSizeFieldBytes + streamed_bytes;
  CHECK(size <= INT32_MAX, "a response is bounded by what the request may ask for");
  out.patch_u32be(frame_at, static_cast<uint32_t>(size));
}

size_t begin_request(base::Writer& out, ApiKey key, int16_t version, int32_t correlation_id,
                     std::string_view client_id) {
  const size_t frame_at = out.size();
  client_id = client_id.substr(0, limits::kStringBytesMax);
  out.u32be(0);
  out.i16be(static_cast<int16_t>(key));
  out.i16be(version);
  out.i32be(correlation_id);
  out.i16be(static_cast<int16_t>(client_id.size()));
  out.text(client_id);
  const ApiRow* row = find_api(static_cast<int16_t>(key));
  if (row != nullptr && row->is_flexible(version)) out.u8(0);
  return frame_at;
}

std::optional<int32_t> read_response_header(base::Reader& in, ApiKey key, int16_t version) {
  const int32_t correlation_id = in.i32be();
  if (response_header_has_tags(key, version)) skip_tags(in);
  return in.ok() ? std::optional(correlation_id) : std::nullopt;
}

bool is_valid_software_word(std::string_view word) {
  if (word.empty() || !is_letter_or_digit(word.front()) || !is_letter_or_digit(word.back())) return false;
  return std::ranges::all_of(word, [](char c) { return is_letter_or_digit(c) || c == '-' || c == '.'; });
}

}  // namespace polylog::kafka
