// Any bytes as the records of a Produce: validation, and a walk over whatever the header promises. The checksum is made
// right first, as otherwise nothing would get past it.
#include <vector>

#include "base/check.h"
#include "protocol/kafka/record_batch.h"

namespace polylog::kafka {
namespace {

void walk(const BatchHeader& header, base::View batch) {
  std::vector<uint8_t> scratch;
  const auto records = unpack_records(header, batch, scratch);
  if (!records) return;
  RecordWalker walker(header, *records);
  for (RecordView record; walker.next(record);) {
    int32_t headers = 0;
    HeaderWalker header_walker(record);
    for (RecordHeader record_header; header_walker.next(record_header);) ++headers;
    CHECK(headers == record.header_count, "the record walker has checked the headers");
  }
}

void check_batch(base::View bytes) {
  if (const auto header = read_batch_header(bytes)) walk(*header, bytes);
  if (bytes.size() < batch_layout::kRecordsAt) return;
  std::vector<uint8_t> batch(bytes.begin(), bytes.end());
  set_log_append_time(batch, 1);
  const auto sound = validate_batch(batch, {.depth = Depth::kFull, .log_append_time = true});
  if (sound) walk(*sound, batch);
}

}  // namespace
}  // namespace polylog::kafka

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  polylog::kafka::check_batch({data, size});
  return 0;
}
