#include "broker/survey.h"

#include "broker/engine_test_kit.h"

namespace polylog::broker {
namespace {

std::string page(EngineKit& kit) {
  base::Registry* registries[] = {&kit.metrics};
  return base::Registry::render(registries);
}
bool has(const std::string& text, const std::string& line) {
  return text.find("\n" + line + "\n") != std::string::npos;
}

void commit(EngineKit& kit, const std::string& group, std::vector<CommitRequest::Entry> entries) {
  const Token token{kit.next_token++};
  kit.brokers[0]->submit(kit.brokers[0]->cell_of_group(group), {kit.session->id, token},
                         GroupRequest{CommitRequest{.group = group, .entries = std::move(entries)}});
  kit.settle();
  REQUIRE(kit.session->all<GroupReply>(token).size() == 1);
}

CommitRequest::Entry at(const std::string& stream, uint32_t partition, int64_t offset) {
  return {.key = {stream, partition}, .offset = offset, .metadata = {}};
}

TEST_CASE("a survey sees how far groups are behind, whichever cell holds the partition") {
  EngineKit kit(2);
  const auto record = kit.create("s", 2).record;
  for (uint32_t p = 0; p < 2; ++p) kit.ask<AppendDone>(record->key(p), kit.batch(record->key(p), "abc", 10));
  commit(kit, "g", {at("s", 0, 4), at("s", 1, 10), at("gone", 0, 1)});
  Survey survey(*kit.brokers[kit.brokers[0]->cell_of_group("g").value]);
  survey.run();
  survey.run();  // one round at a time
  kit.settle();
  CHECK(!survey.is_running());
  CHECK(has(page(kit), "polylog_group_lag_messages{group=\"g\"} 6"));
  CHECK(has(page(kit), "polylog_group_lag_max_messages{group=\"g\"} 6"));
  CHECK(has(page(kit), "polylog_groups 1"));
  kit.ask<AppendDone>(record->key(1), kit.batch(record->key(1), "abc", 10));
  survey.run();
  kit.settle();
  CHECK(has(page(kit), "polylog_group_lag_messages{group=\"g\"} 16"));
  CHECK(has(page(kit), "polylog_group_lag_max_messages{group=\"g\"} 10"));
}

TEST_CASE("a survey counts the members of managed groups") {
  EngineKit kit;
  kit.create("s", 1);
  ReconcileRequest join;
  join.group = "g";
  join.member_id = "m";
  join.rebalance_timeout_ms = 1000;
  join.streams = std::vector<std::string>{"s"};
  join.owned.emplace();
  kit.brokers[0]->submit(kit.brokers[0]->cell_of_group("g"), {kit.session->id, Token{kit.next_token++}},
                         GroupRequest{std::move(join)});
  kit.settle();
  Survey survey(*kit.brokers[0]);
  survey.run();
  kit.settle();
  CHECK(has(page(kit), "polylog_group_members 1"));
}

TEST_CASE("more cursors than are asked for at once are seen, of one group and of many") {
  EngineKit kit;
  const uint32_t partitions = kCursorsAskedAtOnce + 1;
  const auto record = kit.create("s", partitions).record;
  std::vector<CommitRequest::Entry> entries;
  for (uint32_t p = 0; p < partitions; ++p) entries.push_back(at("s", p, 0));
  commit(kit, "a", entries);
  commit(kit, "b", {at("s", 0, 0)});
  for (const uint32_t p : {0u, partitions - 1}) kit.ask<AppendDone>(record->key(p), kit.batch(record->key(p), "x"));
  Survey survey(*kit.brokers[0]);
  survey.run();
  kit.settle();
  CHECK(has(page(kit), "polylog_group_lag_messages{group=\"a\"} 2"));
  CHECK(has(page(kit), "polylog_group_lag_messages{group=\"b\"} 1"));
}

TEST_CASE("a survey counts what is ready, unacked and attached in all queues") {
  EngineKit kit;
  const auto key = kit.create("q", 1, StreamKind::kQueue).record->key();
  kit.ask<AppendDone>(key, kit.batch(key, "abcd", 5));
  kit.send(key, AttachRequest{.queue = key, .credit = 2});
  kit.settle();
  Survey survey(*kit.brokers[0]);
  survey.run();
  kit.settle();
  CHECK(has(page(kit), "polylog_queue_ready_messages 3"));
  CHECK(has(page(kit), "polylog_queue_unacked_messages 2"));
  CHECK(has(page(kit), "polylog_queue_consumers 1"));
}

TEST_CASE("so many groups have a label of their own, and the rest is one") {
  std::vector<GroupLag> lags;
  const auto limit = static_cast<int64_t>(kGroupsShownMax);
  for (int64_t i = 1; i <= limit; ++i) lags.push_back({.group = std::to_string(i), .sum = 10 + i, .max = i});
  const auto all = furthest_behind(lags, kGroupsShownMax);
  REQUIRE(all.size() == kGroupsShownMax);
  CHECK(all.front().group == std::to_string(limit));
  CHECK(all.back().group == "1");
  lags.push_back({.group = "least", .sum = 2, .max = 2});
  lags.push_back({.group = "less", .sum = 3, .max = 1});
  const auto some = furthest_behind(lags, kGroupsShownMax);
  REQUIRE(some.size() == kGroupsShownMax + 1);
  CHECK(some.front().group == std::to_string(limit));
  CHECK(some.back().group == "other");
  CHECK(some.back().sum == 5);
  CHECK(some.back().max == 2);
}

}  // namespace
}  // namespace polylog::broker
