// What the generated messages in gen/ are made of.
//
// A message struct is the union of all versions; a field a version lacks keeps its default. Requests hold views into
// the frame they were decoded from. Responses own their strings; their `bytes` are views that must outlive encode().
//
// decode() needs a fresh struct, fails for a version not served, and leaves bytes behind the message unread.
// encode() writes null as an empty value where the version knows no null (decode() refuses such a null), cuts strings
// at limits::kStringBytesMax, since a longer length would not fit, and drops fields that the version does not have.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/wire.h"
#include "protocol/kafka/error_codes.h"

namespace polylog::kafka {

// Record data of a response, which goes from storage to the socket without passing through the message: encode() writes
// only its length and notes in a RecordsAt where the bytes belong, one for each partition in the message's order, those
// of zero bytes included. The session sends [up to position][bytes][up to next position][bytes]..[rest].
struct StreamedRecords {
  uint32_t size_bytes = 0;
  base::View bytes;  // only decode() sets it
};

struct RecordsAt {
  size_t position;  // in the Writer's buffer
  uint32_t size_bytes;
};

}  // namespace polylog::kafka
