#include "broker/survey.h"

#include <algorithm>
#include <map>

#include "broker/cell_engine.h"

namespace polylog::broker {
namespace {

constexpr base::Duration kNextTurn = std::chrono::microseconds(1);  // a turn has one time

}  // namespace

std::vector<GroupLag> furthest_behind(std::vector<GroupLag> lags, size_t shown_max) {
  std::ranges::sort(
      lags, [](const GroupLag& a, const GroupLag& b) { return a.sum != b.sum ? a.sum > b.sum : a.group < b.group; });
  if (lags.size() <= shown_max) return lags;
  GroupLag other{.group = "other"};
  for (size_t i = shown_max; i < lags.size(); ++i) {
    other.sum += lags[i].sum;
    other.max = std::max(other.max, lags[i].max);
  }
  lags.resize(shown_max);
  lags.push_back(std::move(other));
  return lags;
}

Survey::Survey(Broker& broker)
    : broker_(broker),
      queues_ready_(
          broker.metrics().gauge("polylog_queue_ready_messages", "Messages in queues that wait for a consumer")),
      queues_open_(broker.metrics().gauge("polylog_queue_unacked_messages",
                                          "Messages delivered from queues and not yet settled")),
      consumers_(broker.metrics().gauge("polylog_queue_consumers", "Consumers attached to queues")),
      groups_(broker.metrics().gauge("polylog_groups", "Consumer groups")),
      members_(broker.metrics().gauge("polylog_group_members", "Members of all consumer groups")) {
  finish();  // what is measured has a page before the first round
}

void Survey::run() {
  if (running_) return;
  running_ = true;
  ready_ = open_ = consumer_count_ = group_count_ = member_count_ = 0;
  lags_.clear();
  cells_.clear();
  broker_.for_each_cell([&](CellEngine& engine) {
    if (!engine.failed()) cells_.push_back(engine.cell().id());
  });
  bucket_ = 0;
  group_.clear();
  cursor_.reset();
  later();
}

void Survey::later() {
  broker_.loop().call_at(broker_.loop().now() + kNextTurn, [this] { step(); });
}

// One turn's share of the work. Ends by coming back in a later turn, or with the round.
void Survey::step() {
  if (cells_.empty()) {
    running_ = false;
    return finish();
  }
  if (bucket_) {
    count_queues();
    return later();
  }
  walk_groups();
}

void Survey::count_queues() {
  CellEngine::QueueCounts counts;
  bucket_ = broker_.cell(cells_.back())->count_queues(*bucket_, counts);
  ready_ += counts.ready;
  open_ += counts.open;
  consumer_count_ += counts.consumers;
}

// Collects cursors until there are enough to ask for, or the cell has no more groups.
void Survey::walk_groups() {
  const GroupTable& groups = broker_.cell(cells_.back())->groups();
  asked_.clear();
  bool more = true;
  for (size_t visited = 0; more && visited < kCursorsAskedAtOnce; ++visited) {
    const Group* group = cursor_ ? groups.find(group_) : nullptr;  // one whose cursors were too many for one turn
    if (group == nullptr) {
      cursor_.reset();
      group = groups.next_after(group_);
      if (group == nullptr) break;
      group_ = group->name();
      ++group_count_;
      member_count_ += group->member_count();
      lags_.push_back({.group = group_});
    }
    more = collect(*group);
  }
  if (more && groups.next_after(group_) == nullptr) {
    cells_.pop_back();
    bucket_ = 0;
    group_.clear();
  }
  ask();
}

// False: enough for this turn; cursor_ says where to go on.
bool Survey::collect(const Group& group) {
  const auto& cursors = group.state().cursors.all();
  for (auto at = cursor_ ? cursors.upper_bound(*cursor_) : cursors.begin(); at != cursors.end(); ++at) {
    const auto& [key, cursor] = *at;
    const auto record = broker_.catalog().find(key.stream);
    if (record != nullptr && key.partition < record->partitions.size()) {
      asked_.push_back({.partition = record->key(key.partition),
                        .cell = record->partitions[key.partition],
                        .cursor = cursor.offset,
                        .group = lags_.size() - 1});
    }
    if (asked_.size() < kCursorsAskedAtOnce) continue;
    cursor_ = key;
    return false;
  }
  cursor_.reset();
  return true;
}

void Survey::ask() {
  std::map<base::CoreId, std::vector<Asked>> by_core;
  for (const Asked& asked : asked_) by_core[broker_.core_of(asked.cell)].push_back(asked);
  answers_missing_ = by_core.size();
  if (by_core.empty()) return later();
  for (auto& [core, items] : by_core) {
    Broker* there = broker_.all()[core.value];
    broker_.loop().send(core, [this, there, asked = std::move(items)]() mutable {
      for (Asked& one : asked) {
        CellEngine* engine = there->cell(one.cell);
        const storage::Partition* partition =
            engine == nullptr || engine->failed() ? nullptr : engine->cell().find(one.partition);
        if (partition != nullptr) one.end = partition->committed().value;
      }
      there->loop().send(broker_.loop().core(), [this, back = std::move(asked)] { answered(back); });
    });
  }
}

void Survey::answered(const std::vector<Asked>& asked) {
  for (const Asked& one : asked) {
    if (one.end < 0) continue;
    const int64_t behind = std::max<int64_t>(one.end - one.cursor, 0);
    lags_[one.group].sum += behind;
    lags_[one.group].max = std::max(lags_[one.group].max, behind);
  }
  if (--answers_missing_ == 0) later();
}

void Survey::finish() {
  queues_ready_.set(static_cast<int64_t>(ready_));
  queues_open_.set(static_cast<int64_t>(open_));
  consumers_.set(static_cast<int64_t>(consumer_count_));
  groups_.set(static_cast<int64_t>(group_count_));
  members_.set(static_cast<int64_t>(member_count_));
  base::Registry::Values sums, maxima;
  for (const GroupLag& lag : furthest_behind(std::move(lags_), kGroupsShownMax)) {
    sums.emplace_back(base::label("group", lag.group), lag.sum);
    maxima.emplace_back(base::label("group", lag.group), lag.max);
  }
  lags_.clear();
  broker_.metrics().replace("polylog_group_lag_messages", "Records that a group has not committed yet, all partitions",
                            std::move(sums));
  broker_.metrics().replace("polylog_group_lag_max_messages",
                            "Records that a group has not committed yet, of the partition where it is furthest behind",
                            std::move(maxima), base::Registry::Merge::kMax);
}

}  // namespace polylog::broker
