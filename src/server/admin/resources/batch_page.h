// BatchPage: the messages of stored batches, whatever their encoding, as JSON, until a page is full: so many messages, or
// about so many bytes, but one message at least.
#pragma once

#include "broker/actions.h"
#include "broker/encoding.h"
#include "http/json/writer.h"

namespace polylog::server {

inline constexpr size_t kPageBytesMax = 4 * base::limits::kMiB;

class BatchPage {
 public:
  BatchPage(const broker::EncodingRegistry& encodings, http::JsonWriter& out, size_t messages_max)
      : encodings_(encodings), out_(out), messages_max_(messages_max) {}

  // Adds what lies in [from, end) of the batch. kCorrupt: it cannot be read.
  base::Result<> add(const broker::ReadBatch& batch, base::Offset from, base::Offset end);
  bool full() const { return count_ >= messages_max_ || (count_ > 0 && out_.size_bytes() >= kPageBytesMax); }
  size_t count() const { return count_; }
  base::Offset next() const { return next_; }  // where the next page begins, once something was added

 private:
  const broker::EncodingRegistry& encodings_;
  http::JsonWriter& out_;
  const size_t messages_max_;
  size_t count_ = 0;
  base::Offset next_;
};

}  // namespace polylog::server
