// For tests only: members of a managed group that behave as clients do - they report what they own, give up what is not
// in their assignment, take what is, and start over when they are fenced - each as slowly as the test wants.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "broker/groups/group_test_kit.h"

namespace polylog::broker::group_test {

struct ManagedKit : Kit {
  explicit ManagedKit(GroupConfig config = {}) : Kit(config) {}

  static ReconcileRequest joining(std::string id, std::vector<std::string> wanted = {"s"}, std::string instance = {}) {
    ReconcileRequest r;
    r.group = "g";
    r.member_id = std::move(id);
    if (!instance.empty()) r.instance_id = std::move(instance);
    r.client_id = "c";
    r.client_host = "/h";
    r.rebalance_timeout_ms = 30'000;
    r.streams = std::move(wanted);
    r.owned.emplace();
    return r;
  }
  static ReconcileRequest beating(std::string id, int32_t epoch) {
    ReconcileRequest r;
    r.group = "g";
    r.member_id = std::move(id);
    r.epoch = epoch;
    r.client_id = "c";
    r.client_host = "/h";
    return r;
  }
  ReconcileReply ask_for(const ReconcileRequest& r) {
    const ReplyTo to = ask();
    table->reconcile(to, r, now, wall);
    return got<ReconcileReply>(to);
  }
  DescribeManagedReply::Group managed(std::string name = "g") {
    const ReplyTo to = ask();
    table->describe_managed(to, {{std::move(name)}});
    return got<DescribeManagedReply>(to).groups.at(0);
  }
  void put_stream(const std::string& name, uint32_t partitions) {
    streams.put(name, partitions);
    changed(name);
  }
  void drop_stream(const std::string& name) {
    streams.streams.erase(name);
    changed(name);
    table->drop_stream(name);
  }
  void changed(const std::string& name) {
    table->stream_changed(name);
    while (table->has_changes()) table->compare_changes();
  }
  // A kill: what was logged is all that is left.
  void restart() {
    table.reset();
    open();
  }
};

class FakeMember {
 public:
  FakeMember(ManagedKit& kit, std::string id, std::vector<std::string> wanted = {"s"}, std::string instance = {})
      : kit_(kit), id_(std::move(id)), wanted_(std::move(wanted)), instance_(std::move(instance)) {}

  // One heartbeat. `settle`: gives up and takes at once what the answer says; else that waits for settle().
  GroupError beat(bool settle = true) {
    ReconcileRequest r = epoch == 0 ? ManagedKit::joining(id_, wanted_, instance_) : ManagedKit::beating(id_, epoch);
    if (epoch != 0) r.owned = owned;
    const ReconcileReply reply = kit_.ask_for(r);
    if (reply.error == GroupError::kFencedEpoch || reply.error == GroupError::kUnknownMember) {
      epoch = 0;
      owned.clear();
      told.clear();
      return reply.error;
    }
    if (reply.error != GroupError::kNone) return reply.error;
    epoch = reply.epoch;
    if (reply.assignment) told = *reply.assignment;
    if (settle) this->settle();
    return reply.error;
  }
  void settle() { owned = told; }
  GroupError leave(int32_t how = kLeaveEpoch) {
    ReconcileRequest r = ManagedKit::beating(id_, how);
    if (!instance_.empty()) r.instance_id = instance_;
    owned.clear();
    told.clear();
    epoch = 0;
    return kit_.ask_for(r).error;
  }
  void want(std::vector<std::string> wanted) {
    wanted_ = std::move(wanted);
    if (epoch == 0) return;
    ReconcileRequest r = ManagedKit::beating(id_, epoch);
    r.streams = wanted_;
    const ReconcileReply reply = kit_.ask_for(r);
    if (reply.error != GroupError::kNone) return;
    epoch = reply.epoch;
    if (reply.assignment) told = *reply.assignment;
  }
  const std::string& id() const { return id_; }

  int32_t epoch = 0;
  PartitionList owned, told;

 private:
  ManagedKit& kit_;
  std::string id_;
  std::vector<std::string> wanted_;
  std::string instance_;
};

// A member that speaks as in member-led groups, eagerly: it gives up all before it joins. As a leader it deals out "s".
class FakeGuest {
 public:
  FakeGuest(ManagedKit& kit, std::string name) : kit_(kit), name_(std::move(name)) {}

  void step() {
    switch (state_) {
      case State::kOut: return join();
      case State::kJoining: return on_joined();
      case State::kSyncing: return on_synced();
      case State::kIn: return beat();
    }
  }
  void leave() {
    if (state_ == State::kIn) kit_.leave({{id_, {}}});
    if (state_ == State::kIn) out(/*forget=*/true);
  }
  bool is_in() const { return state_ == State::kIn; }
  const std::string& name() const { return name_; }
  const std::string& id() const { return id_; }
  int32_t generation() const { return generation_; }

  PartitionList owned;

 private:
  enum class State : uint8_t { kOut, kJoining, kSyncing, kIn };

  void out(bool forget) {
    owned.clear();
    if (forget) id_.clear();
    state_ = State::kOut;
  }
  void join() {
    JoinRequest r = Kit::joining(id_);
    r.client_id = name_;
    r.session_timeout_ms = 600'000;
    r.can_retry_with_id = true;
    waits_for_ = kit_.join(std::move(r));
    state_ = State::kJoining;
    on_joined();
  }
  void on_joined() {
    if (!kit_.answered(waits_for_)) return;
    const auto reply = kit_.got<JoinReply>(waits_for_);
    if (reply.error == GroupError::kMemberIdRequired) id_ = reply.member_id;
    if (reply.error == GroupError::kMemberIdRequired) return join();
    if (reply.error != GroupError::kNone) return out(reply.error == GroupError::kUnknownMember);
    id_ = reply.member_id;
    generation_ = reply.generation;
    waits_for_ = kit_.sync(reply, reply.leader == id_ ? deal(reply) : std::vector<SyncRequest::Assignment>{});
    state_ = State::kSyncing;
    on_synced();
  }
  std::vector<SyncRequest::Assignment> deal(const JoinReply& reply) const {
    std::vector<SyncRequest::Assignment> dealt;
    for (const JoinReply::Member& member : reply.members) dealt.push_back({member.member_id, {}});
    const uint32_t partitions = kit_.streams.streams.at("s").partition_count;
    for (uint32_t i = 0; i < partitions; ++i) dealt[i % dealt.size()].assignment += static_cast<char>(i);
    return dealt;
  }
  void on_synced() {
    if (!kit_.answered(waits_for_)) return;
    const auto reply = kit_.got<SyncReply>(waits_for_);
    if (reply.error != GroupError::kNone) return out(reply.error == GroupError::kUnknownMember);
    state_ = State::kIn;
    if (reply.partitions) owned = *reply.partitions;
    for (const char i : reply.assignment) {
      owned.push_back({kit_.streams.streams.at("s").id, static_cast<uint32_t>(i)});
    }
  }
  void beat() {
    const GroupError error = kit_.beat(id_, generation_);
    if (error != GroupError::kNone) out(error == GroupError::kUnknownMember);
  }

  ManagedKit& kit_;
  std::string name_, id_;
  int32_t generation_ = -1;
  ReplyTo waits_for_;
  State state_ = State::kOut;
};

}  // namespace polylog::broker::group_test
