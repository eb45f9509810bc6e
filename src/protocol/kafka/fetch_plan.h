// FetchPlan: the part of a Fetch that needs no engine: what is asked of each partition, what has been read of it so far,
// and how much of that goes into the response. Whole batches only, partitions in the order of the request.
//
//   request ─► FetchPlan ─► reads by cell ─► take() what came ─► enough? ─► write_response()
//                              └──────────── next() ◄──── no ────┘
//
// A partition is read on from where the last read ended, so nothing is read twice. Batches of another encoding are
// converted when they arrive, since their size counts. Not for: waiting (on_fetch.cc).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "broker/actions.h"
#include "broker/encoding.h"
#include "protocol/kafka/error_codes.h"
#include "protocol/kafka/fetch_sessions.h"
#include "protocol/kafka/gen/fetch.h"
#include "protocol/kafka/session.h"
#include "protocol/kafka/topics.h"

namespace polylog::kafka {

inline constexpr int16_t kTopicIdsSinceVersion = 13;  // of Fetch: topics are named by their ids

struct FetchedPartition {
  Topic topic;  // null: no such topic
  PartitionAt at;
  base::Offset next;  // read from here on
  int64_t bytes_max = 0;
  int32_t last_fetched_epoch = kNoEpoch;
  ErrorCode error = ErrorCode::kNone;
  int64_t start = -1, committed = -1;
  FetchResponse::DivergingEpoch diverging;
  int32_t index = 0;
  bool is_left_out = false;  // of the response: no news for the session
  std::vector<RecordBytes> batches;
  std::vector<uint32_t> counts;  // of records in each of them
  int64_t bytes = 0;             // of `batches`

  bool is_readable() const { return error == ErrorCode::kNone && diverging == FetchResponse::DivergingEpoch{}; }
  bool wants_more() const { return is_readable() && bytes < bytes_max; }
  void fail(ErrorCode code);
  void add(RecordBytes batch, uint32_t count);
};

class FetchPlan {
 public:
  FetchPlan(const Call& call, const FetchRequest& request);

  std::vector<FetchedPartition>& partitions() { return partitions_; }
  const std::vector<FetchedPartition>& partitions() const { return partitions_; }
  // What came for a partition.
  void take(FetchedPartition& partition, broker::ReadDone::Item&& item);
  void note_epoch_end(FetchedPartition& partition, const broker::FindEpochDone& done);

  bool is_empty() const { return partitions_.empty(); }
  bool has_error() const;       // or a diverging epoch: the response must not wait
  int64_t bytes_ready() const;  // a partition's own limit counted
  size_t bytes_held() const;    // in memory, whatever of it fits the response
  int64_t bytes_max() const { return bytes_max_; }

  Reply make_reply(const Call& call, const FetchContext& context);

 private:
  void add(const Call& call, const FetchRequest::Topic& asked);
  bool convert(FetchedPartition& partition, const broker::ReadBatch& batch) const;
  struct Budget {
    int64_t bytes_left;
    bool is_untouched = true;
    uint32_t keep_what_fits(FetchedPartition& partition);
  };
  FetchResponse::Partition respond(const Call& call, FetchedPartition& partition, Budget& budget) const;

  struct AskedTopic {
    std::string name;
    base::Uuid id;
    size_t partition_count;
  };
  const broker::EncodingRegistry& encodings_;
  std::vector<AskedTopic> topics_;
  std::vector<FetchedPartition> partitions_;  // of all topics, as asked
  int64_t bytes_max_;
  bool read_committed_;
  bool by_id_;
};

}  // namespace polylog::kafka
