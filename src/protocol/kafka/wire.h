// Frames and headers: everything of a request or response but its body (gen/).
//
//   frame     int32 size | header | body                     size counts what follows it
//   request   int16 api key | int16 version | int32 correlation id | string client id | tags if the body is flexible
//   response  int32 correlation id | tags if the body is flexible and it is not ApiVersions
//
// The client id has a classic int16 length in every version. Integers are big-endian.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/wire.h"
#include "protocol/kafka/gen/api_table.h"

namespace polylog::kafka {

enum class FrameStatus : uint8_t { kNeedMore, kComplete, kBad };

struct Frame {
  FrameStatus status;
  size_t size_bytes = 0;  // of the whole frame; while its size field is incomplete, of that
  base::View payload;     // kComplete: header and body
};

// Looks at the first frame of `buffered` and allocates nothing. kBad: an impossible size, close without an answer.
Frame next_frame(base::View buffered);

struct RequestHeader {
  int16_t api_key = 0;
  int16_t api_version = 0;
  int32_t correlation_id = 0;
  std::string_view client_id;  // a view into the frame; null reads as empty
};

enum class HeaderStatus : uint8_t {
  kOk,                  // `in` stands at the body
  kMalformed,           // close
  kUnknownApi,          // close
  kUnsupportedVersion,  // close, but answer ApiVersions with error 35 in version 0
};

// Fills `header` as far as it could be read; for kUnknownApi and kUnsupportedVersion that is all of it.
HeaderStatus read_request_header(base::Reader& in, RequestHeader& header);

// Starts a response frame at the end of `out`; returns where the frame begins, for end_response().
size_t begin_response(base::Writer& out, ApiKey key, int16_t version, int32_t correlation_id);
// Fills in the frame's size. `streamed_bytes` is the sum of what the session sends beside `out` (message.h).
void end_response(base::Writer& out, size_t frame_at, size_t streamed_bytes = 0);

// The client side of the above, for tests and tools. Frames end with end_response().
size_t begin_request(base::Writer& out, ApiKey key, int16_t version, int32_t correlation_id,
                     std::string_view client_id);
std::optional<int32_t> read_response_header(base::Reader& in, ApiKey key, int16_t version);  // the correlation id

// The rule for client_software_name and client_software_version: letters, digits, '-' and '.', the latter two inside.
bool is_valid_software_word(std::string_view word);

}  // namespace polylog::kafka
