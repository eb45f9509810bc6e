#include "storage/segment.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/wire.h"

namespace polylog::storage {
namespace {

constexpr size_t kBlocksKeptMax = 64;                      // 57 KiB of file, 88 KiB of RAM each at most
constexpr size_t kSpanBytesMin = 32 * base::limits::kKiB;  // below, a copy is cheaper than a system call of its own
constexpr size_t kReadAheadBytes = 4 * base::limits::kMiB;
constexpr size_t kOpenedMax = 1024;

std::unexpected<base::Error> damaged(const SegmentRef& ref, uint64_t at, const char* what) {
  return base::fail(base::ErrorCode::kCorrupt,
                    fmt::format("{} at offset {}: {}", to_file_name({ExtentKind::kSegment, ref.extent}), at, what));
}

// The batch that holds `from`, or the first one after it.
size_t first_at(const std::vector<BatchRef>& batches, Offset from) {
  const auto found = std::upper_bound(batches.begin(), batches.end(), from,
                                      [](Offset o, const BatchRef& ref) { return o < ref.end_offset(); });
  return static_cast<size_t>(found - batches.begin());
}

}  // namespace

// --- writing

base::Result<std::unique_ptr<SegmentWriter>> SegmentWriter::create(io::Disk& disk, const std::string& directory,
                                                                   base::CellId cell, uint64_t id) {
  TRY_ASSIGN(auto file, ExtentWriter::create(disk, directory, cell, {ExtentKind::kSegment, id}));
  std::unique_ptr<SegmentWriter> writer(new SegmentWriter(std::move(file)));
  writer->ref_.extent = id;
  return writer;
}

base::Result<> SegmentWriter::append(const BatchRef& batch, View bytes) {
  BatchRef placed = batch;
  placed.at = {0, file_->size()};
  index_.add(placed);
  ref_.max_ts = ref_.batch_count == 0 ? batch.max_ts : std::max(ref_.max_ts, batch.max_ts);
  ref_.append_ts = std::max(ref_.append_ts, batch.append_ts);
  ++ref_.batch_count;
  ref_.data_bytes += bytes.size();
  return file_->append(bytes);
}

base::Result<SegmentWriter::Finished> SegmentWriter::finish(Offset base, Offset end) {
  const SegmentIndexBuilder::Index index = index_.finish(file_->size());
  TRY(file_->append(index.blocks));
  ref_.base_offset = base;
  ref_.end_offset = end;
  ref_.fences_at = file_->size();
  ref_.fence_count = index.fence_count;
  ref_.fences_crc = index.fences_crc;
  TRY(file_->append(index.fences));
  TRY_ASSIGN(auto file, file_->publish());
  return Finished{ref_, std::move(file)};
}

// --- reading

base::Result<SegmentReader::Opened*> SegmentReader::open(const Source& source) {
  const auto found = opened_.find(source.ref.extent);
  if (found != opened_.end()) return &found->second;
  std::vector<uint8_t> bytes(size_t{source.ref.fence_count} * kSegmentFenceBytes);
  TRY(source.file->read_at(bytes, source.ref.fences_at));
  if (base::crc32c(bytes) != source.ref.fences_crc)
    return damaged(source.ref, source.ref.fences_at, "the fences do not verify");
  Opened opened;
  base::Reader in(bytes);
  while (!in.at_end()) opened.fences.push_back({decode_segment_fence(in)});
  if (opened_.size() >= kOpenedMax) opened_.erase(opened_.begin());  // any: what is read again is verified again
  return &opened_.emplace(source.ref.extent, std::move(opened)).first->second;
}

base::Result<SegmentReader::Block> SegmentReader::block(const Source& source, Opened& opened, size_t index) {
  const BlockKey key{source.ref.extent, index};
  if (const auto found = blocks_.find(key); found != blocks_.end()) {
    recent_.splice(recent_.begin(), recent_, found->second);
    return recent_.front().second;
  }
  const Fence& fence = opened.fences[index];
  std::vector<uint8_t> bytes(fence.entries * kSegmentEntryBytes);
  TRY(source.file->read_at(bytes, fence.position));
  if (base::crc32c(bytes) != fence.crc) return damaged(source.ref, fence.position, "an index block does not verify");
  auto batches = std::make_shared<std::vector<BatchRef>>();
  batches->reserve(fence.entries);
  base::Reader in(bytes);
  while (!in.at_end()) batches->push_back(decode_segment_entry(in));
  recent_.emplace_front(key, batches);
  blocks_[key] = recent_.begin();
  if (recent_.size() > kBlocksKeptMax) {
    blocks_.erase(recent_.back().first);
    recent_.pop_back();
  }
  return batches;
}

// Reads a block's batches once and checks them; from then on the file may be sent from as it is.
base::Result<> SegmentReader::verify(const Source& source, Fence& fence, const std::vector<BatchRef>& batches) {
  if (fence.is_verified) return {};
  std::vector<uint8_t> bytes;
  for (size_t first = 0; first < batches.size();) {
    size_t next = first;
    size_t run_bytes = 0;
    for (; next < batches.size() && (next == first || run_bytes + batches[next].bytes <= kReadAheadBytes); ++next)
      run_bytes += batches[next].bytes;
    bytes.resize(run_bytes);
    TRY(source.file->read_at(bytes, batches[first].at.offset));
    View rest = bytes;
    for (; first < next; ++first) {
      if (base::crc32c(rest.first(batches[first].bytes)) != batches[first].crc)
        return damaged(source.ref, batches[first].at.offset, "a batch does not verify");
      rest = rest.subspan(batches[first].bytes);
    }
  }
  fence.is_verified = true;
  return {};
}

// Brings the bytes of neighbours into memory with one read.
base::Result<> SegmentReader::fill(const Source& source, std::vector<StoredBatch>& run) {
  const uint64_t begin = run.front().ref.at.offset;
  const uint64_t end = run.back().ref.at.offset + run.back().ref.bytes;
  base::Chunk* chunk = base::Chunk::allocate(end - begin);
  const base::Slice whole(chunk, chunk->data(), chunk->size());
  chunk->unref();
  TRY(source.file->read_at({chunk->data(), chunk->size()}, begin));
  for (StoredBatch& batch : run) {
    batch.bytes = whole.sub(batch.ref.at.offset - begin, batch.ref.bytes);
    if (base::crc32c(batch.bytes.view()) != batch.ref.crc)
      return damaged(source.ref, batch.ref.at.offset, "a batch does not verify");
  }
  return {};
}

// Asks once for each byte, half a window before it is wanted: asking costs a look at every page. Who reads elsewhere, or
// from the beginning again, is not the reader that was asked for.
void SegmentReader::read_ahead(Opened& opened, io::File& file, uint64_t begin, uint64_t end) {
  const bool goes_on = begin <= opened.ahead_to && begin + 2 * kReadAheadBytes >= opened.ahead_to;
  if (goes_on && end + kReadAheadBytes / 2 <= opened.ahead_to) return;
  const uint64_t from = goes_on ? opened.ahead_to : begin;
  opened.ahead_to = end + kReadAheadBytes;
  file.prefetch(from, opened.ahead_to - from);
}

base::Result<std::vector<StoredBatch>> SegmentReader::read(const Source& source, const Wish& wish) {
  TRY_ASSIGN(Opened * opened, open(source));
  auto& fences = opened->fences;
  const auto after = std::upper_bound(fences.begin(), fences.end(), wish.from,
                                      [](Offset o, const Fence& fence) { return o < fence.base_offset; });
  std::vector<StoredBatch> run;
  size_t bytes = 0;
  bool spans = wish.span_encoding.has_value();
  const auto full = [&](const BatchRef& ref) {
    return ref.end_offset() > wish.end || (!run.empty() && bytes + ref.bytes > wish.bytes_max);
  };
  const size_t first_block = after == fences.begin() ? 0 : static_cast<size_t>(after - fences.begin()) - 1;
  std::vector<size_t> used;
  for (size_t b = first_block; b < fences.size(); ++b) {
    TRY_ASSIGN(const Block batches, block(source, *opened, b));
    size_t i = run.empty() ? first_at(*batches, wish.from) : 0;
    if (i < batches->size()) used.push_back(b);
    for (; i < batches->size() && !full((*batches)[i]); ++i) {
      run.push_back({.ref = (*batches)[i], .bytes = {}, .span = {}});
      bytes += run.back().ref.bytes;
      spans = spans && run.back().ref.encoding == *wish.span_encoding;
    }
    if (i < batches->size()) break;
  }
  if (run.empty()) return run;
  if (!spans || bytes < kSpanBytesMin) {
    TRY(fill(source, run));
    return run;
  }
  for (const size_t b : used) {
    TRY_ASSIGN(const Block batches, block(source, *opened, b));
    if (verify(source, fences[b], *batches)) continue;
    TRY(fill(source, run));  // a damaged batch does not take its block along
    return run;
  }
  TRY_ASSIGN(auto file, source.file->open_behind());
  if (file == nullptr) file = source.file;
  for (StoredBatch& batch : run) batch.span = {file, batch.ref.at.offset, batch.ref.bytes};
  read_ahead(*opened, *file, run.front().ref.at.offset, run.back().ref.at.offset + run.back().ref.bytes);
  return run;
}

base::Result<std::optional<BatchRef>> SegmentReader::find_by_time(const Source& source, Offset from,
                                                                  base::WallTime ts) {
  TRY_ASSIGN(Opened * opened, open(source));
  for (size_t b = 0; b < opened->fences.size(); ++b) {
    if (opened->fences[b].max_ts < ts) continue;
    TRY_ASSIGN(const Block batches, block(source, *opened, b));
    for (const BatchRef& batch : *batches)
      if (batch.max_ts >= ts && batch.end_offset() > from) return batch;
  }
  return std::nullopt;
}

base::Result<> SegmentReader::for_each_block(const Source& source,
                                             const std::function<void(const IndexBlock&)>& visit) {
  TRY_ASSIGN(Opened * opened, open(source));
  const auto& fences = opened->fences;
  for (size_t b = 0; b < fences.size(); ++b) {
    const Offset next = b + 1 < fences.size() ? fences[b + 1].base_offset : source.ref.end_offset;
    const auto read = block(source, *opened, b);
    visit({.position = fences[b].position,
           .first = fences[b].base_offset,
           .next = next,
           .entries = fences[b].entries,
           .batches = read ? base::Result<std::vector<BatchRef>>(**read) : std::unexpected(read.error())});
  }
  return {};
}

base::Result<std::vector<BatchRef>> SegmentReader::list(const Source& source) {
  TRY_ASSIGN(Opened * opened, open(source));
  std::vector<BatchRef> all;
  for (size_t b = 0; b < opened->fences.size(); ++b) {
    TRY_ASSIGN(const Block batches, block(source, *opened, b));
    all.insert(all.end(), batches->begin(), batches->end());
  }
  return all;
}

}  // namespace polylog::storage
