#include "protocol/kafka/record_stream.h"

#include "base/wire.h"
#include "protocol/kafka/compression.h"

namespace polylog::kafka {
namespace {

constexpr size_t kSizeBytesMax = 5;  // of the varint before each record

class RecordStream {
 public:
  RecordStream(const BatchHeader& header, size_t record_bytes_max, const VisitRecord& visit)
      : header_(header), record_bytes_max_(record_bytes_max), visit_(visit) {}

  // False: no more is wanted.
  bool take(base::View piece) {
    if (rest_.empty()) return keep(piece, walk(piece));
    rest_.insert(rest_.end(), piece.begin(), piece.end());
    const size_t walked = walk(rest_);
    rest_.erase(rest_.begin(), rest_.begin() + static_cast<ptrdiff_t>(walked));
    return !ended_;
  }
  base::Result<> result(UnpackStatus status) const {
    if (status == UnpackStatus::kStopped) return error_;
    if (status == UnpackStatus::kTooLarge) return base::fail(base::ErrorCode::kTooLarge, "a batch unpacks to too much");
    if (status == UnpackStatus::kCorrupt) return base::fail(base::ErrorCode::kCorrupt, "a batch cannot be unpacked");
    if (rest_.empty() && count_ == header_.record_count) return {};
    return base::fail(base::ErrorCode::kCorrupt, "the records do not match their batch header");
  }

 private:
  bool keep(base::View piece, size_t walked) {
    if (!ended_) rest_.assign(piece.begin() + static_cast<ptrdiff_t>(walked), piece.end());
    return !ended_;
  }
  // Visits the whole records of `bytes`; how far they reach.
  size_t walk(base::View bytes) {
    const size_t whole = whole_records(bytes);
    RecordWalker walker(header_, bytes.first(whole));
    for (RecordView record; !ended_ && walker.next(record); ++count_) ended_ = !visit_(record);
    if (!ended_ && !walker.is_at_end()) end(base::ErrorCode::kCorrupt, "a record is damaged");
    if (!ended_ && too_large_) end(base::ErrorCode::kTooLarge, "a record is longer than what is converted");
    return whole;
  }
  size_t whole_records(base::View bytes) {
    base::Reader in(bytes);
    size_t whole = 0;
    while (!in.at_end()) {
      const int32_t size = in.varint32();
      if (!in.ok()) {
        if (bytes.size() - whole >= kSizeBytesMax) return bytes.size();  // no varint: the walker sees it
        break;
      }
      if (size < 0) return bytes.size();
      too_large_ = static_cast<size_t>(size) > record_bytes_max_;
      if (too_large_ || static_cast<size_t>(size) > in.rest().size()) break;
      in.skip(static_cast<size_t>(size));
      whole = bytes.size() - in.rest().size();
    }
    return whole;
  }
  void end(base::ErrorCode code, const char* why) {
    ended_ = true;
    error_ = base::fail(code, why);
  }

  const BatchHeader& header_;
  const size_t record_bytes_max_;
  const VisitRecord& visit_;
  std::vector<uint8_t> rest_;  // the begin of a record whose end is still to come
  int32_t count_ = 0;
  bool too_large_ = false;
  bool ended_ = false;
  base::Result<> error_;
};

}  // namespace

base::Result<> for_each_record(const BatchHeader& header, base::View batch, size_t record_bytes_max,
                               const VisitRecord& visit) {
  const auto packed = packed_records(header, batch);
  if (!packed || header.codec() > static_cast<uint8_t>(Compression::kZstd))
    return base::fail(base::ErrorCode::kCorrupt, "a record batch cannot be read");
  RecordStream stream(header, record_bytes_max, visit);
  const UnpackStatus status = unpack_in_pieces(static_cast<Compression>(header.codec()), *packed,
                                               [&](base::View piece) { return stream.take(piece); });
  return stream.result(status);
}

}  // namespace polylog::kafka
