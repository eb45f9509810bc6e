// Members of a managed group: each reports what it holds and is told what it may hold; it is slow to give up, leaves,
// vanishes, and comes back as itself or as somebody new.
#include <fmt/format.h>

#include <map>

#include "tests/sim/cast.h"

namespace polylog::sim {
namespace {

using namespace broker;  // the many request and reply types of groups

constexpr int64_t kForeverMs = int64_t{1} << 41;  // clocks jump by weeks: cursors stay all the same

class ManagedMember final : public Client {
 public:
  ManagedMember(Scene& scene, size_t core, uint64_t id) : Client(scene, core, id) {
    tick_us_max_ = 20'000;
    begin_life();
  }
  // It asks all the time: an answer that does not come for long is one that must come.
  bool busy() const override { return patience_ > kTicksPatient; }
  std::string describe() const override {
    return fmt::format("managed member {} epoch {} waits for {} and {}", member_id_, epoch_, asked_, fetching_);
  }

 private:
  static constexpr const char* kGroup = kManagedGroup;
  static constexpr int kTicksPatient = 100;
  CursorKey key() const { return {"wide", static_cast<uint32_t>(1'000 + id_)}; }
  std::string cursor() const { return fmt::format("{} cursor {}", kGroup, id_); }
  base::CellId cell() { return broker().cell_of_group(kGroup); }

  void begin_life() {
    member_id_ = fmt::format("m{}-{}", id_, ++lives_);
    start_over();
  }
  void start_over() {
    epoch_ = kJoinEpoch;
    owned_.clear();
    told_.clear();
  }
  void tick() override {
    patience_ = asked_ != 0 || fetching_ != 0 ? patience_ + 1 : 0;
    if (scene_.calm || random().chance(0.3)) owned_ = told_;  // what was taken from it is given up only now
    if (fetching_ == 0 && random().chance(0.05)) fetch();
    if (asked_ != 0) return;
    if (epoch_ == kJoinEpoch || scene_.calm) return ask();
    if (random().chance(0.02)) return leave();
    if (random().chance(0.01)) {  // vanishes: the session timeout removes it
      begin_life();
      return reopen_session();
    }
    if (random().chance(0.5)) return ask();
    model().cursor_asked(cursor(), ++value_);
    CommitRequest request{.group = kGroup, .member_id = member_id_, .generation = epoch_, .retention_ms = kForeverMs};
    request.entries.push_back({.key = key(), .offset = value_});
    committing_[submit(cell(), GroupRequest(std::move(request)))] = value_;
  }
  void ask() {
    ReconcileRequest request{.group = kGroup, .member_id = member_id_, .epoch = epoch_, .client_id = "sim"};
    request.client_host = "here";
    request.owned = owned_;
    if (epoch_ == kJoinEpoch) {
      request.rebalance_timeout_ms = 500;
      request.streams = {{"narrow", "wide"}};
    }
    floor_ = std::max(int64_t{epoch_}, epoch_ == kJoinEpoch ? model().newest_synced(kGroup) : -1);
    asked_ = submit(cell(), GroupRequest(std::move(request)));
  }
  void leave() {
    submit(cell(), GroupRequest(ReconcileRequest{.group = kGroup, .member_id = member_id_, .epoch = kLeaveEpoch}));
    begin_life();
  }
  void fetch() { fetching_ = submit(cell(), GroupRequest(FetchCursorsRequest{kGroup, std::vector{key()}})); }
  void handle(uint64_t token, ActionBody& body) override {
    auto* reply = std::get_if<GroupReply>(&body);
    if (reply == nullptr) return;
    if (auto* told = std::get_if<ReconcileReply>(reply); told != nullptr && token == asked_) {
      asked_ = 0;
      on_told(*told);
    } else if (auto* fetched = std::get_if<FetchCursorsReply>(reply); fetched != nullptr && token == fetching_) {
      fetching_ = 0;
      if (fetched->error == GroupError::kNone) model().cursor_seen(cursor(), fetched->entries.at(0).offset);
    } else if (auto* committed = std::get_if<CommitReply>(reply); committed != nullptr) {
      const auto found = committing_.extract(token);
      if (!found.empty() && committed->entries.at(0).error == GroupError::kNone) {
        model().cursor_acked(cursor(), found.mapped());
      }
    }
  }
  void on_told(const ReconcileReply& reply) {
    if (reply.error != GroupError::kNone) return start_over();
    if (reply.epoch <= kJoinEpoch || reply.epoch < floor_) {
      model().violation("epoch", fmt::format("{} was at {} or later and is told {}", member_id_, floor_, reply.epoch));
    }
    model().generation_synced(kGroup, reply.epoch);
    epoch_ = reply.epoch;
    if (!reply.assignment) return;
    told_ = *reply.assignment;
    for (const base::PartitionKey& partition : told_) {
      model().partition_owned(partition, epoch_, member_id_);
    }
    if (owned_.empty()) owned_ = told_;
  }
  // It has not heard that the node went down: it goes on with what it knows.
  void on_down() override {
    asked_ = fetching_ = 0;
    patience_ = 0;
    committing_.clear();
  }

  int lives_ = 0;
  std::string member_id_;
  int32_t epoch_ = kJoinEpoch;
  std::vector<base::PartitionKey> owned_, told_;
  int64_t floor_ = -1;
  uint64_t asked_ = 0, fetching_ = 0;
  int patience_ = 0;  // for how many ticks one of them is awaited
  int64_t value_ = 0;
  std::map<uint64_t, int64_t> committing_;
};

}  // namespace

std::unique_ptr<Client> make_managed_member(Scene& scene, size_t core, uint64_t id) {
  return std::make_unique<ManagedMember>(scene, core, id);
}

}  // namespace polylog::sim
