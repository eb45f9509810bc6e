#include <algorithm>

#include "base/check.h"
#include "io/net.h"

namespace polylog::io {

namespace {
constexpr size_t kCopiedPieceBytesMin = 512;        // first allocation for small writes
constexpr size_t kCopiedPieceBytesMax = 64 * 1024;  // a longer run of small writes starts a new piece: growing copies
constexpr size_t kIdlePiecesMax = 16;               // an idle queue keeps no larger list than this
}  // namespace

void OutQueue::write(base::View bytes) {
  if (bytes.empty()) return;
  const bool joins = pieces_.size() > first_ && pieces_.back().slice.empty() && pieces_.back().span.bytes == 0 &&
                     pieces_.back().copied.size() + bytes.size() <= kCopiedPieceBytesMax;
  if (!joins) {
    pieces_.emplace_back();
    pieces_.back().copied.reserve(std::max(bytes.size(), kCopiedPieceBytesMin));
  }
  auto& copied = pieces_.back().copied;
  copied.insert(copied.end(), bytes.begin(), bytes.end());
  queued_bytes_ += bytes.size();
}

void OutQueue::append(base::Slice slice) {
  if (slice.size() < kCopyBytesMax) return write(slice.view());
  queued_bytes_ += slice.size();
  pieces_.push_back({.slice = std::move(slice), .copied = {}, .span = {}});
}

void OutQueue::append(FileSpan span) {
  if (span.bytes == 0) return;
  queued_bytes_ += span.bytes;
  if (pieces_.size() > first_) {
    FileSpan& last = pieces_.back().span;
    if (last.bytes > 0 && last.file == span.file && last.offset + last.bytes == span.offset) {
      last.bytes += span.bytes;
      return;
    }
  }
  pieces_.push_back({.slice = {}, .copied = {}, .span = std::move(span)});
}

std::optional<FileSpan> OutQueue::next_span() const {
  if (first_ == pieces_.size() || pieces_[first_].span.bytes == 0) return std::nullopt;
  FileSpan span = pieces_[first_].span;
  span.offset += first_sent_;
  span.bytes -= first_sent_;
  return span;
}

// Replaces `pieces`; returns how many bytes they are.
size_t OutQueue::gather(std::vector<base::View>& pieces, size_t pieces_max, size_t bytes_max) const {
  pieces.clear();
  size_t bytes = 0;
  for (size_t i = first_; i < pieces_.size() && pieces.size() < pieces_max && bytes < bytes_max; ++i) {
    if (pieces_[i].span.bytes > 0) break;
    base::View view = pieces_[i].view();
    if (i == first_) view = view.subspan(first_sent_);
    pieces.push_back(view.first(std::min(view.size(), bytes_max - bytes)));
    bytes += pieces.back().size();
  }
  return bytes;
}

void OutQueue::sent(size_t bytes) {
  CHECK(bytes <= queued_bytes_, "sent more than was queued");
  queued_bytes_ -= bytes;
  while (bytes > 0) {
    const size_t left = pieces_[first_].size() - first_sent_;
    if (bytes < left) {
      first_sent_ += bytes;
      break;
    }
    bytes -= left;
    pieces_[first_++] = {};
    first_sent_ = 0;
  }
  if (queued_bytes_ == 0) {
    pieces_.clear();
    first_ = 0;
    if (pieces_.capacity() > kIdlePiecesMax) pieces_ = {};
  } else if (first_ > kIdlePiecesMax && first_ * 2 > pieces_.size()) {
    pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<ptrdiff_t>(first_));
    first_ = 0;
  }
}

}  // namespace polylog::io
