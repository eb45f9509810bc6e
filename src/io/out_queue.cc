#include <algorithm>

#include "base/check.h"
#include "io/net.h"

namespace polylog::io {

namespace {
constexpr size_t kCopiedPieceBytesMin = 512;         // first allocation for small writes
constexpr size_t kCopiedPieceBytesMax = 64 * 1024;   // a longer run of small writes starts a new piece: growing copies
constexpr size_t kIdlePiecesMax = 16;                // an idle queue keeps no larger list than this
}  // namespace

void OutQueue::write(base::View bytes) {
  if (bytes.empty()) return;
  const bool joins = pieces_.size() > first_ && pieces_.back().slice.empty() &&
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
  pieces_.push_back({std::move(slice), {}});
}

// Replaces `pieces`; returns how many bytes they are.
size_t OutQueue::gather(std::vector<base::View>& pieces, size_t pieces_max) const {
  pieces.clear();
  size_t bytes = 0;
  for (size_t i = first_; i < pieces_.size() && pieces.size() < pieces_max; ++i) {
    base::View view = pieces_[i].view();
    if (i == first_) view = view.subspan(first_sent_);
    pieces.push_back(view);
    bytes += view.size();
  }
  return bytes;
}

void OutQueue::sent(size_t bytes) {
  CHECK(bytes <= queued_bytes_, "sent more than was queued");
  queued_bytes_ -= bytes;
  while (bytes > 0) {
    const size_t left = pieces_[first_].view().size() - first_sent_;
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
