#include "storage/partition.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace polylog::storage {

void Partition::push_epoch(base::Epoch epoch, Offset at) {
  if (epochs_.empty() || epochs_.back().epoch < epoch) epochs_.push_back({epoch, at});
}

void Partition::apply_append(const AppendMutation& m, Lsn lsn, base::Slice bytes) {
  if (batches_.empty() && segments_.empty() && m.base_offset > appended_)
    start_ = appended_ = committed_ = m.base_offset;
  CHECK(m.base_offset == appended_, describe());
  BatchRef ref;
  ref.base_offset = m.base_offset;
  ref.count = m.count;
  ref.append_ts = m.append_ts;
  ref.max_ts = m.max_ts;
  ref.epoch = m.epoch;
  ref.crc = m.crc;
  ref.encoding = m.encoding;
  ref.flags = m.flags;
  ref.piece_count = static_cast<uint8_t>(m.pieces.size());
  for (const Piece& piece : m.pieces) ref.bytes += piece.bytes;
  if (m.pieces.empty()) {
    ref.bytes = static_cast<uint32_t>(bytes.size());
  } else {
    ref.at = m.pieces.front().at;
  }
  if (m.pieces.size() > 1) more_pieces_[m.base_offset.value].assign(m.pieces.begin() + 1, m.pieces.end());
  push_epoch(m.epoch, m.base_offset);
  if (m.writer) writers_.note(*m.writer, m.base_offset, m.append_ts);
  batches_.push_back(ref);
  stored_bytes_ += ref.bytes;
  appended_ = ref.end_offset();
  stamp_ = std::max(stamp_, lsn);
  if (!bytes.empty()) {
    tail_bytes_ += bytes.size();
    tail_.push_back(std::move(bytes));
  } else {  // the tail must reach the end without gaps
    tail_.clear();
    tail_bytes_ = 0;
  }
}

void Partition::pop_front_batch(Freed& freed) {
  const BatchRef& ref = batches_.front();
  for (const Piece& piece : pieces_of(ref)) freed.pieces.push_back(piece);
  if (tail_.size() == batches_.size()) {
    tail_bytes_ -= tail_.front().size();
    tail_.pop_front();
  }
  stored_bytes_ -= ref.bytes;
  more_pieces_.erase(ref.base_offset.value);
  batches_.pop_front();
}

void Partition::drop_segment(std::deque<SegmentRef>::iterator at, Freed& freed) {
  stored_bytes_ -= at->data_bytes;
  segment_batches_ -= at->batch_count;
  freed.segments.push_back(*at);
  segments_.erase(at);
}

Partition::Freed Partition::apply_trim(Offset log_start, Lsn lsn) {
  Freed freed;
  stamp_ = std::max(stamp_, lsn);
  if (log_start <= start_) return freed;
  start_ = log_start;
  while (!segments_.empty() && segments_.front().end_offset <= start_) drop_segment(segments_.begin(), freed);
  while (!batches_.empty() && batches_.front().end_offset() <= start_) pop_front_batch(freed);
  if (start_ > appended_) appended_ = start_;
  if (start_ > committed_) committed_ = start_;
  while (epochs_.size() > 1 && epochs_[1].start <= start_) epochs_.erase(epochs_.begin());
  return freed;
}

Partition::Freed Partition::apply_segment(const SegmentRef& segment, Lsn lsn) {
  Freed freed;
  stamp_ = std::max(stamp_, lsn);
  while (!batches_.empty() && batches_.front().end_offset() <= segment.end_offset) pop_front_batch(freed);
  const auto within = [&](const SegmentRef& old) {
    return old.base_offset >= segment.base_offset && old.end_offset <= segment.end_offset;
  };
  auto at = std::ranges::find_if(segments_, within);
  while (at != segments_.end() && within(*at)) {
    const auto index = at - segments_.begin();
    drop_segment(at, freed);
    at = segments_.begin() + index;
  }
  CHECK(at == segments_.end() || at->base_offset >= segment.end_offset, describe());
  CHECK(at == segments_.begin() || std::prev(at)->end_offset <= segment.base_offset, describe());
  stored_bytes_ += segment.data_bytes;
  segment_batches_ += segment.batch_count;
  segments_.insert(at, segment);
  return freed;
}

bool Partition::has_run(const MoveMutation::Run& run) const {
  const size_t first = index_of(run.base_offset);
  if (first + run.batch_count > batches_.size() || batches_[first].base_offset != run.base_offset) return false;
  for (size_t i = first + 1; i < first + run.batch_count; ++i)
    if (batches_[i].base_offset != batches_[i - 1].end_offset()) return false;
  return true;
}

Partition::Freed Partition::apply_move(uint64_t pack, const MoveMutation::Run& run, Lsn lsn) {
  Freed freed;
  stamp_ = std::max(stamp_, lsn);
  uint64_t position = run.position;
  const size_t first = index_of(run.base_offset);
  CHECK(has_run(run), describe());
  for (size_t i = first; i < first + run.batch_count; ++i) {
    BatchRef& ref = batches_[i];
    const uint64_t at = std::exchange(position, position + ref.bytes);
    if (in_pack(ref.at) && (ref.at.file_seq & ~kPackBit) > pack) continue;  // replay of what a later move changed again
    for (const Piece& piece : pieces_of(ref)) freed.pieces.push_back(piece);
    more_pieces_.erase(ref.base_offset.value);
    ref.at = {pack | kPackBit, at};
    ref.piece_count = 1;
  }
  return freed;
}

const SegmentRef* Partition::segment_at(Offset offset) const {
  const auto found = std::upper_bound(segments_.begin(), segments_.end(), offset,
                                      [](Offset o, const SegmentRef& s) { return o < s.end_offset; });
  return found == segments_.end() ? nullptr : &*found;
}

std::vector<Piece> Partition::all_pieces() const {
  std::vector<Piece> pieces;
  for (const BatchRef& ref : batches_)
    for (const Piece& piece : pieces_of(ref)) pieces.push_back(piece);
  return pieces;
}

std::vector<Piece> Partition::pieces_of(const BatchRef& ref) const {
  if (ref.piece_count == 0) return {};
  uint32_t rest = 0;
  const auto more = more_pieces_.find(ref.base_offset.value);
  if (more != more_pieces_.end())
    for (const Piece& piece : more->second) rest += piece.bytes;
  std::vector<Piece> pieces{{ref.at, ref.bytes - rest}};
  if (more != more_pieces_.end()) pieces.insert(pieces.end(), more->second.begin(), more->second.end());
  return pieces;
}

void Partition::commit_to(Offset end) {
  CHECK(end <= appended_, describe());
  committed_ = std::max(committed_, end);
}

size_t Partition::index_of(Offset offset) const {
  if (batches_.empty() || offset < batches_.front().base_offset || offset >= appended_) return batches_.size();
  const auto after = std::upper_bound(batches_.begin(), batches_.end(), offset,
                                      [](Offset o, const BatchRef& ref) { return o < ref.base_offset; });
  return static_cast<size_t>(after - batches_.begin()) - 1;
}

const BatchRef* Partition::find(Offset offset) const {
  const size_t i = index_of(offset);
  return i == batches_.size() ? nullptr : &batches_[i];
}

void Partition::read(Offset from, Offset end, size_t bytes_max, std::vector<StoredBatch>& out,
                     size_t batches_max) const {
  size_t bytes = 0;
  for (size_t i = index_of(from); batches_max > 0 && i < batches_.size() && batches_[i].end_offset() <= end;
       ++i, --batches_max) {
    if (bytes > 0 && bytes + batches_[i].bytes > bytes_max) break;
    bytes += batches_[i].bytes;
    out.push_back({batches_[i], i >= tail_first() ? tail_[i - tail_first()] : base::Slice{}, {}});
  }
}

StoredBatch Partition::batch_at(Offset offset) const {
  const size_t i = index_of(offset);
  CHECK(i < batches_.size(), describe());
  return {batches_[i], i >= tail_first() ? tail_[i - tail_first()] : base::Slice{}, {}};
}

const BatchRef* Partition::find_by_time(base::WallTime ts) const {
  for (const BatchRef& ref : batches_)
    if (ref.max_ts >= ts && ref.end_offset() <= committed_) return &ref;
  return nullptr;
}

const BatchRef* Partition::newest_by_time() const {
  const BatchRef* newest = nullptr;
  for (const BatchRef& ref : batches_)
    if (ref.end_offset() <= committed_ && (newest == nullptr || ref.max_ts > newest->max_ts)) newest = &ref;
  return newest;
}

size_t Partition::evict_tail(Offset base_offset) {
  if (tail_.empty()) return 0;
  const size_t first = batches_.size() - tail_.size();
  if (batches_[first].base_offset != base_offset) return 0;
  const size_t bytes = tail_.front().size();
  tail_bytes_ -= bytes;
  tail_.pop_front();
  return bytes;
}

// start i64 | appended i64 | epochs u32 {epoch u32, start i64}... | writers | batches u32 {base_offset i64, count u32,
// append_ts i64, max_ts i64, epoch u32, crc u32, encoding u8, flags u8, piece_count u8, {file_seq u64, offset u64, bytes u32}...}...
// | since version 2: segments u32 {SegmentRef}...
Partition::SavedPart Partition::save(base::Writer& out, size_t batches_max) const {
  out.i64le(start_.value);
  out.i64le(appended_.value);
  out.u32le(static_cast<uint32_t>(epochs_.size()));
  for (const EpochStart& epoch : epochs_) {
    out.u32le(epoch.epoch.value);
    out.i64le(epoch.start.value);
  }
  writers_.save(out);
  const size_t count = std::min(batches_.size(), batches_max);
  out.u32le(static_cast<uint32_t>(count));
  for (size_t i = 0; i < count; ++i) save_batch(out, batches_[i]);
  out.u32le(static_cast<uint32_t>(segments_.size()));
  for (const SegmentRef& segment : segments_) write_segment(out, segment);
  return {count == batches_.size() ? appended_ : batches_[count].base_offset, appended_};
}

// batches u32 {...}
Partition::SavedPart Partition::save_more(base::Writer& out, const SavedPart& before, size_t batches_max) const {
  const auto first = std::ranges::lower_bound(batches_, before.next, {}, &BatchRef::base_offset);
  const auto end = std::ranges::lower_bound(first, batches_.end(), before.end, {}, &BatchRef::base_offset);
  const size_t count = std::min(static_cast<size_t>(end - first), batches_max);
  const auto last = first + static_cast<ptrdiff_t>(count);
  out.u32le(static_cast<uint32_t>(count));
  for (auto at = first; at != last; ++at) save_batch(out, *at);
  return {last == end ? before.end : last->base_offset, before.end};
}

void Partition::save_batch(base::Writer& out, const BatchRef& ref) const {
  out.i64le(ref.base_offset.value);
  out.u32le(ref.count);
  out.i64le(ref.append_ts.ms);
  out.i64le(ref.max_ts.ms);
  out.u32le(ref.epoch.value);
  out.u32le(ref.crc);
  out.u8(ref.encoding);
  out.u8(ref.flags);
  out.u8(ref.piece_count);
  const auto save_piece = [&](const Piece& piece) {
    out.u64le(piece.at.file_seq);
    out.u64le(piece.at.offset);
    out.u32le(piece.bytes);
  };
  if (ref.piece_count == 1) return save_piece({ref.at, ref.bytes});
  for (const Piece& piece : pieces_of(ref)) save_piece(piece);
}

bool Partition::read_batches(base::Reader& in, const std::function<bool(BatchRef&, std::vector<Piece>&)>& visit) {
  std::vector<Piece> pieces;
  for (uint32_t left = in.u32le(); left > 0 && in.ok(); --left) {
    BatchRef ref;
    ref.base_offset = Offset(in.i64le());
    ref.count = in.u32le();
    ref.append_ts = {in.i64le()};
    ref.max_ts = {in.i64le()};
    ref.epoch = base::Epoch(in.u32le());
    ref.crc = in.u32le();
    ref.encoding = in.u8();
    ref.flags = in.u8();
    ref.piece_count = in.u8();
    pieces.assign(ref.piece_count, {});
    for (Piece& piece : pieces) {
      piece.at = {in.u64le(), in.u64le()};
      piece.bytes = in.u32le();
      ref.bytes += piece.bytes;
    }
    if (!in.ok() || pieces.empty()) return false;
    ref.at = pieces.front().at;
    if (!visit(ref, pieces)) return false;
  }
  return in.ok();
}

// Behind what was loaded so far, and within what the head says.
bool Partition::load_more(base::Reader& in) {
  return read_batches(in, [this](const BatchRef& ref, const std::vector<Piece>& pieces) {
    if (!batches_.empty() && ref.base_offset < batches_.back().end_offset()) return false;
    if (ref.end_offset() > appended_) return false;
    if (pieces.size() > 1) more_pieces_[ref.base_offset.value].assign(pieces.begin() + 1, pieces.end());
    stored_bytes_ += ref.bytes;
    batches_.push_back(ref);
    return true;
  });
}

bool Partition::load(base::Reader& in, Lsn stamp, uint8_t version) {
  stamp_ = stamp;
  start_ = Offset(in.i64le());
  appended_ = committed_ = Offset(in.i64le());
  for (uint32_t left = in.u32le(); left > 0 && in.ok(); --left) {
    const base::Epoch epoch(in.u32le());
    epochs_.push_back({epoch, Offset(in.i64le())});
  }
  if (!writers_.load(in) || !load_more(in)) return false;
  for (uint32_t left = version < 2 ? 0 : in.u32le(); left > 0 && in.ok(); --left) {
    segments_.push_back(read_segment(in));
    stored_bytes_ += segments_.back().data_bytes;
    segment_batches_ += segments_.back().batch_count;
  }
  return in.ok();
}

std::string Partition::describe() const {
  return fmt::format("partition {}/{}: start {} committed {} appended {} segments {} batches {} tail {} stamp {}{}",
                     key_.stream.to_string(), key_.index, start_.value, committed_.value, appended_.value,
                     segments_.size(), batches_.size(), tail_.size(), stamp_.value, memory_only_ ? " memory-only" : "");
}

}  // namespace polylog::storage
