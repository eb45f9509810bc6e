// Clients of groups: one that keeps cursors alone, and members of a shared group.
#include <fmt/format.h>

#include <map>

#include "tests/sim/cast.h"

namespace polylog::sim {
namespace {

using namespace broker;  // the many request and reply types of groups

// An answer to `token` of type Reply, or null.
template <typename Reply>
Reply* as(ActionBody& body) {
  auto* reply = std::get_if<GroupReply>(&body);
  return reply == nullptr ? nullptr : std::get_if<Reply>(reply);
}

class Committer final : public Client {
 public:
  Committer(Scene& scene, size_t core, uint64_t id) : Client(scene, core, id), group_(fmt::format("alone-{}", id)) {}
  bool busy() const override { return fetching_ != 0 || !committing_.empty(); }
  std::string describe() const override {
    return fmt::format("committer {} waits for {} commits", id_, committing_.size());
  }

 private:
  std::string name_of(uint32_t partition) const { return fmt::format("{} cursor {}", group_, partition); }
  void tick() override {
    if (fetching_ == 0 && (scene_.calm ? !checked_calm_ : random().chance(0.2))) {
      checked_calm_ = scene_.calm;
      fetching_ = submit(broker().cell_of_group(group_), GroupRequest(FetchCursorsRequest{group_, std::nullopt}));
    }
    if (!scene_.calm) checked_calm_ = false;
    if (scene_.calm || committing_.size() >= 4 || random().chance(0.3)) return;
    CommitRequest request{.group = group_, .member_id = {}};
    std::map<uint32_t, int64_t> values;
    for (uint32_t partition = 0; partition < 3; ++partition) {
      if (random().chance(0.5)) continue;
      values[partition] = ++value_;
      model().cursor_asked(name_of(partition), value_);
      request.entries.push_back({.key = {"read-by-groups", partition}, .offset = value_, .metadata = "m"});
    }
    if (values.empty()) return;
    committing_[submit(broker().cell_of_group(group_), GroupRequest(std::move(request)))] = std::move(values);
  }
  void handle(uint64_t token, ActionBody& body) override {
    if (auto* reply = as<CommitReply>(body)) {
      const auto found = committing_.find(token);
      if (found == committing_.end()) return;
      for (const CommitReply::Entry& entry : reply->entries)
        if (entry.error == GroupError::kNone)
          model().cursor_acked(name_of(entry.key.partition), found->second.at(entry.key.partition));
      committing_.erase(found);
    } else if (auto* fetched = as<FetchCursorsReply>(body); fetched && token == fetching_) {
      fetching_ = 0;
      if (fetched->error != GroupError::kNone) return;
      std::map<uint32_t, int64_t> seen{{0, -1}, {1, -1}, {2, -1}};
      for (const FetchCursorsReply::Entry& entry : fetched->entries) seen[entry.key.partition] = entry.offset;
      for (const auto& [partition, value] : seen) model().cursor_seen(name_of(partition), value);
    }
  }
  void on_down() override {
    fetching_ = 0;
    checked_calm_ = false;
    committing_.clear();
  }

  const std::string group_;
  int64_t value_ = 0;
  uint64_t fetching_ = 0;
  bool checked_calm_ = false;
  std::map<uint64_t, std::map<uint32_t, int64_t>> committing_;
};

class Member final : public Client {
 public:
  Member(Scene& scene, size_t core, uint64_t id) : Client(scene, core, id) { tick_us_max_ = 20'000; }
  bool busy() const override { return false; }  // a join waits for others; committers check that groups answer
  std::string describe() const override {
    return fmt::format("member {} {} generation {}", id_, member_id_, generation_);
  }

 private:
  enum class State { kOut, kJoining, kSyncing, kIn };
  static constexpr const char* kGroup = kSharedGroup;
  std::string cursor() const { return fmt::format("{} cursor {}", kGroup, id_); }
  base::CellId cell() { return broker().cell_of_group(kGroup); }

  void tick() override {
    switch (state_) {
      case State::kOut: return join();
      case State::kJoining:
      case State::kSyncing:
        if (++patience_ > 400) node_forgotten();  // the answer went down with a failed cell
        return;
      case State::kIn: break;
    }
    if (scene_.calm) return beat();
    if (random().chance(0.01)) return leave();
    if (random().chance(0.005)) {  // vanishes: the session timeout removes it
      state_ = State::kOut;
      return reopen_session();
    }
    if (random().chance(0.5)) return beat();
    model().cursor_asked(cursor(), ++value_);
    CommitRequest request{.group = kGroup, .member_id = member_id_, .generation = generation_};
    request.entries.push_back({.key = {"read-by-groups", static_cast<uint32_t>(id_)}, .offset = value_});
    committing_[submit(cell(), GroupRequest(std::move(request)))] = value_;
  }
  void node_forgotten() {
    patience_ = 0;
    state_ = State::kOut;
  }
  void join() {
    patience_ = 0;
    state_ = State::kJoining;
    generation_floor_ = model().newest_synced(kGroup);
    JoinRequest request{.group = kGroup, .member_id = member_id_, .client_id = "sim", .client_host = "here"};
    request.session_timeout_ms = 1'000;
    request.rebalance_timeout_ms = 500;
    request.protocol_type = "consumer";
    request.protocols = {{"range", fmt::format("metadata of {}", id_)}};
    request.can_retry_with_id = true;
    asked_ = submit(cell(), GroupRequest(std::move(request)));
  }
  void leave() {
    state_ = State::kOut;
    submit(cell(), GroupRequest(LeaveRequest{kGroup, {{member_id_, std::nullopt}}}));
    member_id_.clear();
  }
  void beat() {
    if (beating_ != 0) return;
    beating_ = submit(cell(), GroupRequest(HeartbeatRequest{kGroup, member_id_, std::nullopt, generation_}));
  }
  void handle(uint64_t token, ActionBody& body) override {
    if (auto* joined = as<JoinReply>(body)) {
      if (token == asked_ && state_ == State::kJoining) on_joined(*joined);
    } else if (auto* synced = as<SyncReply>(body)) {
      if (token == asked_ && state_ == State::kSyncing) on_synced(*synced);
    } else if (auto* beat = as<HeartbeatReply>(body)) {
      if (token != beating_) return;
      beating_ = 0;
      if (beat->error != GroupError::kNone && state_ == State::kIn) rejoin(beat->error);
    } else if (auto* committed = as<CommitReply>(body)) {
      const auto found = committing_.find(token);
      if (found == committing_.end()) return;
      if (committed->entries.size() == 1 && committed->entries[0].error == GroupError::kNone)
        model().cursor_acked(cursor(), found->second);
      committing_.erase(found);
    }
  }
  void rejoin(GroupError error) {
    if (error == GroupError::kUnknownMember) member_id_.clear();
    state_ = State::kOut;
  }
  void on_joined(const JoinReply& reply) {
    if (!reply.member_id.empty()) member_id_ = reply.member_id;
    if (reply.error != GroupError::kNone) return rejoin(reply.error);
    generation_ = reply.generation;
    if (generation_ < generation_floor_)
      model().violation("generation",
                        fmt::format("{} was in {}, a later join leads to {}", kGroup, generation_floor_, generation_));
    model().generation_seen(kGroup, generation_, reply.leader);
    SyncRequest request{.group = kGroup, .member_id = member_id_, .generation = generation_};
    std::string everyone;
    for (const JoinReply::Member& member : reply.members) {
      everyone += member.member_id + " ";
      request.assignments.push_back({member.member_id, fmt::format("{} in {}", member.member_id, generation_)});
    }
    if (reply.leader == member_id_) model().generation_seen(std::string(kGroup) + "'s members", generation_, everyone);
    state_ = State::kSyncing;
    patience_ = 0;
    asked_ = submit(cell(), GroupRequest(std::move(request)));
  }
  void on_synced(const SyncReply& reply) {
    if (reply.error != GroupError::kNone) return rejoin(reply.error);
    if (reply.assignment != fmt::format("{} in {}", member_id_, generation_))
      model().violation("generation", fmt::format("member {} of generation {} is assigned '{}'", member_id_,
                                                  generation_, reply.assignment));
    model().generation_synced(kGroup, generation_);
    state_ = State::kIn;
  }
  void on_down() override {
    state_ = State::kOut;
    asked_ = beating_ = 0;
    committing_.clear();
  }

  State state_ = State::kOut;
  std::string member_id_;
  int32_t generation_ = -1;
  int64_t generation_floor_ = -1;
  uint64_t asked_ = 0, beating_ = 0;
  int patience_ = 0;
  int64_t value_ = 0;
  std::map<uint64_t, int64_t> committing_;
};

}  // namespace

std::unique_ptr<Client> make_committer(Scene& scene, size_t core, uint64_t id) {
  return std::make_unique<Committer>(scene, core, id);
}
std::unique_ptr<Client> make_member(Scene& scene, size_t core, uint64_t id) {
  return std::make_unique<Member>(scene, core, id);
}

}  // namespace polylog::sim
