#include "protocol/kafka/fetch_sessions.h"

#include <doctest/doctest.h>

#include <set>

#include "protocol/kafka/gen/delete_records.h"
#include "protocol/kafka/session_test_calls.h"

namespace polylog::kafka {
namespace {

constexpr base::MonoTime kStart{1'000'000'000'000};
constexpr base::Duration kIdle = limits::kFetchSessionIdleMin;

FetchRequest request_of(std::string_view topic, std::vector<int32_t> partitions, int32_t session_id = 0,
                        int32_t epoch = 0) {
  FetchRequest request{.min_bytes = 1, .session_id = session_id, .session_epoch = epoch};
  request.topics.push_back({.name = topic});
  for (const int32_t index : partitions) {
    request.topics[0].partitions.push_back({.partition_index = index, .partition_max_bytes = 1 << 20});
  }
  return request;
}

FetchRequest next_of(int32_t session_id, int32_t epoch) {
  return {.min_bytes = 1, .session_id = session_id, .session_epoch = epoch};
}

FetchResponse ask(TestClient& client, const FetchRequest& request, int16_t version = 12) {
  return client.ask<FetchResponse>(ApiKey::kFetch, version, request);
}

// "topic/partition" of each partition of the response, in order.
std::vector<std::string> named_in(const FetchResponse& response) {
  std::vector<std::string> named;
  for (const auto& topic : response.topics) {
    for (const auto& partition : topic.partitions) {
      named.push_back(topic.name + "/" + std::to_string(partition.partition_index));
    }
  }
  return named;
}
using Named = std::vector<std::string>;

// A client with a session over partitions 0 to 2 of "t", fetched once.
struct Fixture {
  Fixture() {
    create_topic(client, "t", 3);
    const FetchResponse first = ask(client, request_of("t", {0, 1, 2}));
    CHECK(named_in(first) == Named{"t/0", "t/1", "t/2"});
    id = first.session_id;
    REQUIRE(id > 0);
  }
  FetchRequest next() { return next_of(id, epoch++); }

  TestBroker broker;
  TestClient client{broker};
  int32_t id = 0, epoch = 1;
};

}  // namespace

TEST_CASE("an_incremental_fetch_names_only_partitions_with_news") {
  Fixture f;
  CHECK(named_in(ask(f.client, f.next())).empty());
  produce(f.client, "t", batch_of({"a", "b"}), 1);
  FetchRequest request = f.next();
  const FetchResponse news = ask(f.client, request);
  CHECK(news.session_id == f.id);
  CHECK(news.error_code == ErrorCode::kNone);
  CHECK(named_in(news) == Named{"t/1"});
  CHECK(values_in(news.topics[0].partitions[0].records.bytes) == Named{"0=a", "1=b"});
  // The client says how far it is in that one partition; the others stay as they were.
  request = request_of("t", {1}, f.id, f.epoch++);
  request.topics[0].partitions[0].fetch_offset = 2;
  CHECK(named_in(ask(f.client, request)).empty());
  // A start that moved is news as well.
  DeleteRecordsRequest trim;
  trim.topics.push_back({.name = "t", .partitions = {{.partition_index = 1, .offset = 1}}});
  f.client.ask<DeleteRecordsResponse>(ApiKey::kDeleteRecords, 2, trim);
  const FetchResponse trimmed = ask(f.client, f.next());
  CHECK(named_in(trimmed) == Named{"t/1"});
  CHECK(trimmed.topics[0].partitions[0].log_start_offset == 1);
  CHECK(named_in(ask(f.client, f.next())).empty());
}

TEST_CASE("records_go_to_the_right_partitions_when_others_are_left_out") {
  Fixture f;
  produce(f.client, "t", batch_of({"zero"}), 0);
  produce(f.client, "t", batch_of({"two"}), 2);
  for (int16_t version = 7; version <= 12; ++version) {
    CAPTURE(version);
    const FetchResponse response = ask(f.client, f.next(), version);
    REQUIRE(named_in(response).size() == 2);
    for (const auto& topic : response.topics) {
      for (const auto& partition : topic.partitions) {
        const std::string value = partition.partition_index == 0 ? "0=zero" : "0=two";
        CHECK(values_in(partition.records.bytes) == Named{value});
      }
    }
  }
}

TEST_CASE("a_waiting_incremental_fetch_is_answered_when_records_come") {
  Fixture f;
  TestClient producer(f.broker);
  FetchRequest request = f.next();
  request.max_wait_ms = 5000;
  f.client.send(ApiKey::kFetch, 12, request);
  CHECK_FALSE(f.client.receive<FetchResponse>(std::chrono::milliseconds(100)));
  produce(producer, "t", batch_of({"a"}), 2);
  const auto response = f.client.receive<FetchResponse>();
  REQUIRE(response);
  CHECK(named_in(*response) == Named{"t/2"});
}

TEST_CASE("partitions_are_added_to_a_session_and_forgotten") {
  Fixture f;
  create_topic(f.client, "u");
  CHECK(named_in(ask(f.client, request_of("u", {0}, f.id, f.epoch++))) == Named{"u/0"});
  FetchRequest request = f.next();
  request.forgotten_topics = {{.name = "t", .partitions = {0, 1, 7}}, {.name = "nope", .partitions = {0}}};
  CHECK(named_in(ask(f.client, request)).empty());
  for (const int32_t partition : {0, 1, 2}) produce(f.client, "t", batch_of({"a"}), partition);
  CHECK(named_in(ask(f.client, f.next())) == Named{"t/2"});
  request = f.next();
  request.forgotten_topics = {{.name = "t", .partitions = {2}}, {.name = "u", .partitions = {0}}};
  CHECK(ask(f.client, request).session_id == 0);  // nothing is left of it
  CHECK(ask(f.client, f.next()).error_code == ErrorCode::kFetchSessionIdNotFound);
}

TEST_CASE("a_partition_with_records_is_served_last_the_next_time") {
  Fixture f;
  for (const int32_t partition : {0, 1, 2}) produce(f.client, "t", batch_of({"a"}), partition);
  FetchRequest request = f.next();
  request.max_bytes = 1;  // one batch
  CHECK(values_in(ask(f.client, request).topics.at(0).partitions.at(0).records.bytes) == Named{"0=a"});
  const auto first_with_records = [&] {
    FetchRequest one = f.next();
    one.max_bytes = 1;
    for (const auto& topic : ask(f.client, one).topics) {
      for (const auto& partition : topic.partitions) {
        if (partition.records.size_bytes > 0) return partition.partition_index;
      }
    }
    return -1;
  };
  CHECK(first_with_records() == 1);
  CHECK(first_with_records() == 2);
  CHECK(first_with_records() == 0);
}

TEST_CASE("trouble_is_told_each_time_and_so_is_its_end") {
  Fixture f;
  const auto epoch = static_cast<int32_t>(f.broker.broker.epoch_of(base::CellId(0)).value);
  FetchRequest request = request_of("t", {0}, f.id, f.epoch++);
  request.topics[0].partitions[0].current_leader_epoch = epoch + 1;
  CHECK(ask(f.client, request).topics.at(0).partitions.at(0).error_code == ErrorCode::kUnknownLeaderEpoch);
  CHECK(named_in(ask(f.client, f.next())) == Named{"t/0"});
  request = request_of("t", {0}, f.id, f.epoch++);
  const FetchResponse over = ask(f.client, request);
  CHECK(named_in(over) == Named{"t/0"});
  CHECK(over.topics[0].partitions[0].error_code == ErrorCode::kNone);
  CHECK(named_in(ask(f.client, f.next())).empty());
}

TEST_CASE("requests_that_do_not_fit_their_session_are_refused") {
  Fixture f;
  CHECK(ask(f.client, next_of(f.id, 2)).error_code == ErrorCode::kInvalidFetchSessionEpoch);
  CHECK(ask(f.client, next_of(f.id, -2)).error_code == ErrorCode::kInvalidFetchSessionEpoch);
  CHECK(ask(f.client, next_of(f.id + 1024, 1)).error_code == ErrorCode::kFetchSessionIdNotFound);
  CHECK(ask(f.client, next_of(0, 1)).error_code == ErrorCode::kFetchSessionIdNotFound);
  CHECK(ask(f.client, next_of(f.id, 1), 13).error_code == ErrorCode::kFetchSessionTopicIdError);
  const FetchResponse right = ask(f.client, f.next());
  CHECK(right.error_code == ErrorCode::kNone);
  CHECK(right.session_id == f.id);
  CHECK(ask(f.client, next_of(f.id, 1)).error_code == ErrorCode::kInvalidFetchSessionEpoch);  // again
}

TEST_CASE("a_whole_fetch_ends_the_session_it_names") {
  Fixture f;
  const FetchResponse another = ask(f.client, request_of("t", {1}, f.id, 0));
  CHECK(another.session_id > 0);
  CHECK(another.session_id != f.id);
  CHECK(ask(f.client, next_of(f.id, 1)).error_code == ErrorCode::kFetchSessionIdNotFound);
  const FetchResponse last = ask(f.client, request_of("t", {1}, another.session_id, -1));
  CHECK(last.session_id == 0);
  CHECK(named_in(last) == Named{"t/1"});
  CHECK(ask(f.client, next_of(another.session_id, 1)).error_code == ErrorCode::kFetchSessionIdNotFound);
  CHECK(f.broker.shared->fetch_sessions().size() == 0);
  CHECK(f.broker.shared->fetch_sessions().partition_count() == 0);
}

TEST_CASE("a_session_outlives_its_connection") {
  Fixture f;
  f.client.leave();
  TestClient again(f.broker);
  CHECK(ask(again, f.next()).session_id == f.id);
}

TEST_CASE("topics_of_a_session_may_be_named_by_id") {
  TestBroker broker;
  TestClient client(broker);
  FetchRequest request = request_of("", {0});
  request.topics[0].topic_id = create_topic(client, "t").topic_id;
  const FetchResponse first = ask(client, request, 13);
  REQUIRE(first.session_id > 0);
  produce(client, "t", batch_of({"a"}));
  const FetchResponse news = ask(client, next_of(first.session_id, 1), 17);
  CHECK(news.topics.at(0).topic_id == request.topics[0].topic_id);
  CHECK(values_in(news.topics[0].partitions.at(0).records.bytes) == Named{"0=a"});
}

TEST_CASE("sessions_are_bounded_and_the_idle_make_room") {
  base::Gauge count;
  FetchSessions sessions(base::CoreId(3), {kNow}, count);
  const auto open = [&](const FetchRequest& request, base::MonoTime now) { return sessions.open(request, false, now); };
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < limits::kFetchSessionsMax; ++i) {
    ids.push_back(open(request_of("t", {0}), kStart).context.session_id());
  }
  CHECK(std::set(ids.begin(), ids.end()).size() == ids.size());
  CHECK(std::ranges::all_of(ids, [](int32_t id) { return id > 0; }));
  CHECK(open(request_of("t", {0}), kStart + (kIdle - base::Duration(1))).context.session == nullptr);
  // The first one is used again: the second has been idle for longest.
  CHECK(open(next_of(ids[0], 1), kStart + base::Duration(1)).context.is_incremental);
  CHECK(open(request_of("t", {0}), kStart + kIdle).context.session != nullptr);
  CHECK(open(next_of(ids[0], 2), kStart + kIdle).error == ErrorCode::kNone);
  CHECK(open(next_of(ids[1], 1), kStart + kIdle).error == ErrorCode::kFetchSessionIdNotFound);
  CHECK(sessions.size() == static_cast<size_t>(limits::kFetchSessionsMax));
}

TEST_CASE("where_there_is_no_room_for_any_session_every_fetch_is_whole") {
  base::Gauge count;
  FetchSessions sessions(base::CoreId(0), {kNow}, count, 0);
  const auto opened = sessions.open(request_of("t", {0}), false, kStart);
  CHECK(opened.error == ErrorCode::kNone);
  CHECK(opened.context.session_id() == 0);
}

TEST_CASE("partitions_of_sessions_are_bounded") {
  base::Gauge count;
  FetchSessions sessions(base::CoreId(0), {kNow}, count);
  std::vector<int32_t> all(limits::kFetchSessionPartitionsMax);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int32_t>(i);
  const auto large = sessions.open(request_of("t", all), false, kStart).context;
  REQUIRE(large.session != nullptr);
  CHECK(sessions.open(request_of("t", {0}), false, kStart).context.session == nullptr);
  // One more in the session itself: it ends.
  const FetchRequest one_more = request_of("u", {0}, large.session_id(), 1);
  CHECK(sessions.open(one_more, false, kStart).error == ErrorCode::kFetchSessionIdNotFound);
  CHECK(sessions.size() == 0);
  CHECK(count.value() == 0);
  CHECK(sessions.partition_count() == 0);
  all.push_back(static_cast<int32_t>(all.size()));
  CHECK(sessions.open(request_of("t", all), false, kStart).context.session == nullptr);
  all.pop_back();
  CHECK(sessions.open(request_of("t", all), false, kStart).context.session != nullptr);
}

TEST_CASE("epochs_of_a_session_wrap_to_1_and_ids_of_cores_differ") {
  CHECK(FetchSession(1, false).epoch() == 1);
  CHECK(epoch_after(1) == 2);
  CHECK(epoch_after(INT32_MAX - 1) == INT32_MAX);
  CHECK(epoch_after(INT32_MAX) == 1);
  base::Gauge count;
  FetchSessions one(base::CoreId(0), {kNow}, count), other(base::CoreId(1), {kNow}, count);
  std::set<int32_t> ids;
  for (int i = 0; i < 100; ++i) {
    ids.insert(one.open(request_of("t", {0}), false, kStart).context.session_id());
    ids.insert(other.open(request_of("t", {0}), false, kStart).context.session_id());
  }
  CHECK(ids.size() == 200);
  CHECK(count.value() == 200);
}

}  // namespace polylog::kafka
