// The stored form of what AMQP 0-9-1 clients publish: any number of messages to one queue, under kEncodingTag.
//
//   0         4         8          12        16
//   +---------+---------+----------+---------+-----------+-----+-------------------+
//   | version | count   | table_at | zero    | record 0  | ... | table: u32 a record|     all integers little-endian
//   | u32     | u32     | u32      | u32     |           |     | where it begins    |
//   +---------+---------+----------+---------+-----------+-----+-------------------+
//                                            16                table_at
//   record:
//   0            8             16           20            21          22
//   +------------+-------------+------------+-------------+-----------+----------+-------------+------------+------+
//   | arrived ms | body bytes  | property   | exchange    | key bytes | exchange | routing key | properties | body |
//   | i64        | u64         | bytes u32  | bytes u8    | u8        |          |             |            |      |
//   +------------+-------------+------------+-------------+-----------+----------+-------------+------------+------+
//
// Properties are the publisher's bytes from the content header: flags and property list (properties.h). Record i is found
// through the table in O(1). No place for offset or epoch: nothing is patched.
// Not for: the meaning of properties (mapping.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/time.h"
#include "base/wire.h"

namespace polylog::amqp {

inline constexpr uint8_t kEncodingTag = 2;
inline constexpr uint32_t kBatchVersion = 1;
inline constexpr size_t kBatchHeadBytes = 16;
inline constexpr size_t kRecordHeadBytes = 22;

struct RecordView {
  base::WallTime arrived;
  std::string_view exchange;
  std::string_view routing_key;
  base::View properties;
  base::View body;
};

// Reuses its memory: clear() keeps it. Nothing is allocated a message once the buffer has grown.
class BatchBuilder {
 public:
  BatchBuilder() { clear(); }
  void clear();
  void add(const RecordView& record);
  uint32_t count() const { return static_cast<uint32_t>(starts_.size()); }
  bool empty() const { return starts_.empty(); }
  size_t bytes() const { return buffer_.size() + starts_.size() * sizeof(uint32_t); }
  size_t capacity_bytes() const { return buffer_.capacity(); }
  // The whole batch, valid until the next call; only clear() may follow.
  base::View finish();

 private:
  std::vector<uint8_t> buffer_;
  std::vector<uint32_t> starts_;
};

// Over bytes that validate() accepted.
class BatchView {
 public:
  // Every record lies inside the batch and its properties follow their format.
  static bool validate(base::View batch);

  explicit BatchView(base::View batch);
  uint32_t count() const { return count_; }
  RecordView record(uint32_t index) const;

 private:
  base::View batch_;
  uint32_t count_;
  uint32_t table_at_;
};

}  // namespace polylog::amqp
