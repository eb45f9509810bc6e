// For tests only: a GroupTable with a clock in the test's hand, an Output that keeps replies and the log, short
// requests.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "broker/groups/group_table.h"

namespace polylog::broker::group_test {

// Commits at once; never loses or reorders. Remembers every reply by token, and that it was answered once only.
struct FakeOutput : GroupOutput {
  base::Lsn log(base::View mutation) override {
    mutations.emplace_back(mutation.begin(), mutation.end());
    return base::Lsn{first_lsn + mutations.size() - 1};
  }
  void reply(ReplyTo to, GroupReply reply, base::Lsn after) override {
    answered_twice |= replies.contains(to.token.value);
    replies.insert_or_assign(to.token.value, std::pair(std::move(reply), after));
  }
  // Until the test runs them.
  void compute(io::Task job, io::Task done) override { jobs.push_back({std::move(job), std::move(done)}); }
  // `core` runs what is done on the core.
  bool run_job(const std::function<void(io::Task&)>& core = [](io::Task& task) { task(); }) {
    if (jobs.empty()) return false;
    auto [job, done] = std::move(jobs.front());
    jobs.pop_front();
    job();
    core(done);
    return true;
  }
  uint64_t first_lsn = 1;
  std::vector<std::vector<uint8_t>> mutations;
  std::map<uint64_t, std::pair<GroupReply, base::Lsn>> replies;
  std::deque<std::pair<io::Task, io::Task>> jobs;
  bool answered_twice = false;
};

// The streams there are; the test changes them and says so to the table.
struct FakeStreams : StreamDirectory {
  std::optional<Entry> find_stream(std::string_view name) const override {
    const auto it = streams.find(name);
    return it == streams.end() ? std::nullopt : std::optional(it->second);
  }
  void each_stream(const std::function<void(std::string_view, const Entry&)>& visit) const override {
    ++walks;
    for (const auto& [name, entry] : streams) visit(name, entry);
  }
  void put(const std::string& name, uint32_t partition_count) {
    const auto [it, is_new] = streams.try_emplace(name);
    if (is_new) {
      ++ids;
      it->second.id.bytes[14] = static_cast<uint8_t>(ids >> 8);
      it->second.id.bytes[15] = static_cast<uint8_t>(ids);
    }
    it->second.partition_count = partition_count;
  }
  std::map<std::string, Entry, std::less<>> streams;
  uint16_t ids = 0;
  mutable size_t walks = 0;  // through all streams
};

struct Kit {
  explicit Kit(GroupConfig config = {.initial_rebalance_delay_ms = 0}) : config(config) { open(); }

  std::unique_ptr<GroupTable> make(GroupOutput& out) {
    return std::make_unique<GroupTable>(out, streams, config, [this] {
      base::Uuid id;
      ++ids;
      for (size_t i = 0; i < 8; ++i) id.bytes[15 - i] = static_cast<uint8_t>(ids >> (8 * i));
      return id;
    });
  }
  void open() {
    output.jobs.clear();
    table = make(output);
    for (size_t i = 0; i < output.mutations.size(); ++i) {
      if (!table->apply(output.mutations[i], base::Lsn{i + 1})) replay_failed = true;
    }
    table->start(now, wall);
  }
  void pass_ms(int64_t ms) {
    const base::MonoTime until = now + std::chrono::milliseconds(ms);
    for (auto due = table->next_deadline(); due && *due <= until; due = table->next_deadline()) {
      if (*due > now) {
        wall.ms += (*due - now).count() / 1'000'000;
        now = *due;
      }
      table->on_time(now, wall);
    }
    wall.ms += (until - now).count() / 1'000'000;
    now = until;
  }
  ReplyTo ask(uint64_t session = 1) { return {{base::CoreId{0}, session}, Token{++tokens}}; }
  bool answered(ReplyTo to) const { return output.replies.contains(to.token.value); }
  template <typename Reply>
  Reply got(ReplyTo to) const {
    return std::get<Reply>(output.replies.at(to.token.value).first);
  }
  base::Lsn after(ReplyTo to) const { return output.replies.at(to.token.value).second; }

  static JoinRequest joining(std::string id = {}, std::string metadata = "m", std::string instance = {}) {
    JoinRequest r;
    r.group = "g";
    r.member_id = std::move(id);
    if (!instance.empty()) r.instance_id = std::move(instance);
    r.client_id = "c";
    r.session_timeout_ms = 10'000;
    r.rebalance_timeout_ms = 30'000;
    r.protocol_type = "readers";
    r.protocols = {{"range", metadata}, {"sticky", metadata}};
    r.subscriptions = std::vector<std::string>{"s"};
    return r;
  }
  ReplyTo join(JoinRequest r, uint64_t session = 1) {
    const ReplyTo to = ask(session);
    table->join(to, r, now, wall);
    return to;
  }
  ReplyTo sync(const JoinReply& joined, std::vector<SyncRequest::Assignment> given = {}, uint64_t session = 1) {
    const ReplyTo to = ask(session);
    SyncRequest r;
    r.group = "g";
    r.member_id = joined.member_id;
    r.generation = joined.generation;
    r.assignments = std::move(given);
    table->sync(to, r, now, wall);
    return to;
  }
  GroupError beat(const std::string& id, int32_t generation, std::optional<std::string> instance = {}) {
    const ReplyTo to = ask();
    table->heartbeat(to, {"g", id, std::move(instance), generation}, now, wall);
    return got<HeartbeatReply>(to).error;
  }
  CommitReply commit(std::string id, int32_t generation, CommitRequest::Entry entry,
                     std::optional<int64_t> retention_ms = {}) {
    const ReplyTo to = ask();
    table->commit(to, {"g", std::move(id), {}, generation, retention_ms, {std::move(entry)}}, now, wall);
    return got<CommitReply>(to);
  }
  int64_t cursor(std::string stream, uint32_t partition = 0) {
    const ReplyTo to = ask();
    table->fetch_cursors(to, {"g", std::vector<CursorKey>{{std::move(stream), partition}}});
    return got<FetchCursorsReply>(to).entries.at(0).offset;
  }
  LeaveReply leave(std::vector<LeaveRequest::Member> members) {
    const ReplyTo to = ask();
    table->leave(to, {"g", std::move(members)}, now, wall);
    return got<LeaveReply>(to);
  }
  DescribeGroupsReply::Group view(std::string name = "g") {
    const ReplyTo to = ask();
    table->describe(to, {{std::move(name)}});
    return got<DescribeGroupsReply>(to).groups.at(0);
  }
  // A stable group of one: joined and synced.
  JoinReply settle_one(JoinRequest r = joining()) {
    const JoinReply joined = got<JoinReply>(join(std::move(r)));
    sync(joined, {{joined.member_id, "all"}});
    return joined;
  }
  // A stable group of two: {leader, follower}.
  std::pair<JoinReply, JoinReply> settle_two(JoinRequest first = joining(), JoinRequest second = joining()) {
    const JoinReply alone = settle_one(first);
    const ReplyTo b = join(std::move(second));
    first.member_id = alone.member_id;
    const ReplyTo a = join(std::move(first));
    const auto leader = got<JoinReply>(a), follower = got<JoinReply>(b);
    sync(follower);
    sync(leader, {{leader.member_id, "A"}, {follower.member_id, "B"}});
    return {leader, follower};
  }

  GroupConfig config;
  FakeOutput output;
  FakeStreams streams;
  std::unique_ptr<GroupTable> table;
  base::MonoTime now{1'000'000'000};
  base::WallTime wall{1'700'000'000'000};
  uint64_t tokens = 0;
  uint64_t ids = 0;
  bool replay_failed = false;
};

}  // namespace polylog::broker::group_test
