// Survey: walks over all queues and groups of one core's cells, when asked to, and publishes what it saw as metrics: sums
// over queues, and how far each group's cursors are behind. What is read live belongs to the engine; what would cost
// something with every message is counted here instead, a little a turn, however many objects there are.
//
// A group's cursors may be of streams in other cells: those are asked for their ends by mail, a bounded number at a time.
// Groups have names that clients choose, so only the kGroupsShownMax furthest behind have a label of their own.
// Lives on its core; destroyed when no core runs. Not for: deciding anything by what it saw.
#pragma once

#include <string>
#include <vector>

#include "broker/broker.h"
#include "broker/groups/requests.h"

namespace polylog::broker {

inline constexpr size_t kGroupsShownMax = 100;      // of one cell, each with a label of its own
inline constexpr size_t kCursorsAskedAtOnce = 512;  // by one survey

struct GroupLag {
  std::string group;
  int64_t sum = 0;  // records behind, over all cursors
  int64_t max = 0;  // of the cursor that is furthest behind
};
// The furthest behind first; what does not fit is one entry named "other", with the sum and the maximum of the rest.
std::vector<GroupLag> furthest_behind(std::vector<GroupLag> lags, size_t shown_max);

class Group;

class Survey {
 public:
  explicit Survey(Broker& broker);
  void run();  // no effect while a round is under way
  bool is_running() const { return running_; }

 private:
  struct Asked {
    base::PartitionKey partition;
    base::CellId cell;
    int64_t cursor = 0;
    size_t group = 0;  // in lags_
    int64_t end = -1;  // the answer; -1: not known
  };
  void step();
  void later();
  bool next_cell();
  void count_queues();
  void walk_groups();
  bool collect(const Group& group);
  void ask();
  void answered(const std::vector<Asked>& asked);
  void finish();

  Broker& broker_;
  base::Gauge &queues_ready_, &queues_open_, &consumers_, &groups_, &members_;
  bool running_ = false;

  // --- of the round under way
  std::vector<base::CellId> cells_;  // still to visit; the last one is being visited
  std::optional<size_t> bucket_;     // of its queues; empty: they are counted
  uint64_t ready_ = 0, open_ = 0, consumer_count_ = 0, group_count_ = 0, member_count_ = 0;
  std::string group_;                // the last group that was begun
  std::optional<CursorKey> cursor_;  // the last of its cursors that was collected, if some are left
  std::vector<Asked> asked_;
  size_t answers_missing_ = 0;
  std::vector<GroupLag> lags_;
};

}  // namespace polylog::broker
