// The new group protocol as a client meets it: every error with the code that clients act on, and the tools' view.
#include <doctest/doctest.h>

#include <string>

#include "protocol/kafka/gen/consumer_group_describe.h"
#include "protocol/kafka/gen/consumer_group_heartbeat.h"
#include "protocol/kafka/gen/create_partitions.h"
#include "protocol/kafka/gen/create_topics.h"
#include "protocol/kafka/gen/delete_groups.h"
#include "protocol/kafka/gen/delete_topics.h"
#include "protocol/kafka/gen/describe_groups.h"
#include "protocol/kafka/gen/heartbeat.h"
#include "protocol/kafka/gen/join_group.h"
#include "protocol/kafka/gen/leave_group.h"
#include "protocol/kafka/gen/list_groups.h"
#include "protocol/kafka/gen/metadata.h"
#include "protocol/kafka/gen/offset_commit.h"
#include "protocol/kafka/gen/offset_delete.h"
#include "protocol/kafka/gen/offset_fetch.h"
#include "protocol/kafka/gen/sync_group.h"
#include "protocol/kafka/session_test_kit.h"
#include "protocol/kafka/topics.h"

namespace polylog::kafka {
namespace {

using Beat = ConsumerGroupHeartbeatRequest;
using BeatReply = ConsumerGroupHeartbeatResponse;
using Words = std::vector<std::string_view>;

Beat joining(std::string_view member = "m") {
  return {.group_id = "g",
          .member_id = member,
          .rebalance_timeout_ms = 30'000,
          .subscribed_topic_names = Words{"t"},
          .topic_partitions = std::vector<Beat::TopicPartitions>{}};
}
Beat beating(int32_t epoch, std::string_view member = "m") {
  return {.group_id = "g", .member_id = member, .member_epoch = epoch};
}

struct World {
  World() {
    CreateTopicsRequest request{.timeout_ms = 1000};
    request.topics.push_back({.name = "t", .num_partitions = 3, .replication_factor = 1});
    client.ask<CreateTopicsResponse>(ApiKey::kCreateTopics, 7, request);
  }
  BeatReply beat(const Beat& request, int16_t version = 1) {
    return client.ask<BeatReply>(ApiKey::kConsumerGroupHeartbeat, version, request);
  }
  ErrorCode error_of(const Beat& request, int16_t version = 1) { return beat(request, version).error_code; }
  ConsumerGroupDescribeResponse::Group describe(std::string_view group = "g") {
    ConsumerGroupDescribeRequest request{.group_ids = {group}, .include_authorized_operations = true};
    return client.ask<ConsumerGroupDescribeResponse>(ApiKey::kConsumerGroupDescribe, 1, request).groups.at(0);
  }
  ErrorCode commit(std::string_view member, int32_t epoch, int16_t version = 9) {
    OffsetCommitRequest request{.group_id = "g", .generation_id_or_member_epoch = epoch, .member_id = member};
    request.topics.push_back({.name = "t"});
    request.topics[0].partitions.push_back({.partition_index = 0, .committed_offset = 5, .committed_metadata = ""});
    const auto response = client.ask<OffsetCommitResponse>(ApiKey::kOffsetCommit, version, request);
    return response.topics.at(0).partitions.at(0).error_code;
  }
  OffsetFetchResponse::Group fetch(std::optional<std::string_view> member, int32_t epoch) {
    OffsetFetchRequest request;
    request.groups.push_back({.group_id = "g", .member_id = member, .member_epoch = epoch});
    return client.ask<OffsetFetchResponse>(ApiKey::kOffsetFetch, 9, request).groups.at(0);
  }
  ListGroupsResponse list(Words types, Words states = {}) {
    return client.ask<ListGroupsResponse>(ApiKey::kListGroups, 5,
                                          ListGroupsRequest{.states_filter = states, .types_filter = types});
  }
  JoinGroupResponse join_classic(std::string_view member = {}) {
    JoinGroupRequest request{.group_id = "g",
                             .session_timeout_ms = 10'000,
                             .rebalance_timeout_ms = 10'000,
                             .member_id = member,
                             .protocol_type = "consumer"};
    request.protocols.push_back({.name = "range", .metadata = {}});
    return client.ask<JoinGroupResponse>(ApiKey::kJoinGroup, 3, request);
  }

  TestBroker broker;
  TestClient client{broker};
};

TEST_CASE("consumer groups: a member joins, is told its partitions by id, and leaves") {
  World w;
  const base::Uuid id = find_topic(w.broker.broker, "t")->id;
  const BeatReply joined = w.beat(joining());
  CHECK(joined.error_code == ErrorCode::kNone);
  CHECK(joined.member_id == "m");
  CHECK(joined.member_epoch == 1);
  CHECK(joined.heartbeat_interval_ms == 5'000);
  REQUIRE(joined.assignment);
  REQUIRE(joined.assignment->topic_partitions.size() == 1);
  CHECK(joined.assignment->topic_partitions[0].topic_id == id);
  CHECK(joined.assignment->topic_partitions[0].partitions == std::vector<int32_t>{0, 1, 2});
  CHECK_FALSE(w.beat(beating(1)).assignment);
  const BeatReply left = w.beat(beating(-1));
  CHECK(left.error_code == ErrorCode::kNone);
  CHECK(left.member_epoch == -1);
  CHECK(w.describe().group_state == "Empty");
}

TEST_CASE("consumer groups: version 0 leaves the choice of the member id to the broker, version 1 does not") {
  World w;
  const BeatReply joined = w.beat(joining(""), 0);
  CHECK(joined.error_code == ErrorCode::kNone);
  REQUIRE(joined.member_id);
  CHECK(joined.member_id->size() == 36);
  CHECK(w.error_of(beating(1, *joined.member_id), 0) == ErrorCode::kNone);
  CHECK(w.error_of(joining("")) == ErrorCode::kInvalidRequest);
}

TEST_CASE("consumer groups: a malformed heartbeat answers 42") {
  World w;
  std::vector<Beat> bad(10, joining());
  bad[0].group_id = "";
  bad[1].rebalance_timeout_ms = -1;
  bad[2].topic_partitions.reset();
  bad[3].topic_partitions->push_back({.partitions = {0}});
  bad[4].subscribed_topic_names.reset();
  bad[5].subscribed_topic_names = Words{};
  bad[6].member_epoch = -3;
  bad[7].instance_id = "";
  bad[8].rack_id = "";
  bad[9] = beating(-2);
  for (size_t i = 0; i < bad.size(); ++i) {
    CAPTURE(i);
    const BeatReply reply = w.beat(bad[i]);
    CHECK(reply.error_code == ErrorCode::kInvalidRequest);
    CHECK(reply.error_message);
  }
  Beat negative = beating(1);
  negative.topic_partitions = std::vector<Beat::TopicPartitions>{{.partitions = {-1}}};
  CHECK(w.error_of(negative) == ErrorCode::kInvalidRequest);
  CHECK(w.error_of(beating(1, "")) == ErrorCode::kInvalidRequest);
}

TEST_CASE("consumer groups: unknown, fenced, unsupported, unreleased and bad patterns have codes of their own") {
  World w;
  CHECK(w.error_of(beating(1)) == ErrorCode::kUnknownMemberId);
  w.beat(joining());
  CHECK(w.error_of(beating(1, "nobody")) == ErrorCode::kUnknownMemberId);
  CHECK(w.error_of(beating(2)) == ErrorCode::kFencedMemberEpoch);
  Beat request = joining("n");
  request.server_assignor = "sticky";
  CHECK(w.error_of(request) == ErrorCode::kUnsupportedAssignor);
  request.server_assignor = "range";
  request.subscribed_topic_regex = "(";
  CHECK(w.error_of(request) == ErrorCode::kInvalidRegularExpression);
  request = joining("one");
  request.instance_id = "static";
  CHECK(w.error_of(request) == ErrorCode::kNone);
  request.member_id = "two";
  CHECK(w.error_of(request) == ErrorCode::kUnreleasedInstanceId);
  request.member_epoch = 1;
  CHECK(w.error_of(request) == ErrorCode::kFencedInstanceId);
  Beat away = beating(-2, "one");
  away.instance_id = "static";
  CHECK(w.beat(away).member_epoch == -2);
  request.member_epoch = 0;
  CHECK(w.error_of(request) == ErrorCode::kNone);
}

TEST_CASE("consumer groups: a pattern finds topics, and new ones later") {
  World w;
  Beat request = joining();
  request.subscribed_topic_names = Words{};
  request.subscribed_topic_regex = "t.*";
  CHECK(w.beat(request).assignment->topic_partitions.size() == 1);
  CreateTopicsRequest more{.timeout_ms = 1000};
  more.topics.push_back({.name = "t-2", .num_partitions = 1, .replication_factor = 1});
  w.client.ask<CreateTopicsResponse>(ApiKey::kCreateTopics, 7, more);
  const BeatReply reply = w.beat(beating(1));
  CHECK(reply.member_epoch == 2);
  REQUIRE(reply.assignment);
  CHECK(reply.assignment->topic_partitions.size() == 2);
  CHECK(w.describe().members.at(0).subscribed_topic_regex == "t.*");
}

TEST_CASE("consumer groups: members learn the names of their topics by id") {
  World w;
  const base::Uuid id = w.beat(joining()).assignment->topic_partitions.at(0).topic_id;
  for (const auto& name : {std::optional<std::string_view>(), std::optional<std::string_view>("")}) {
    MetadataRequest request;
    request.topics.emplace().push_back({.topic_id = id, .name = name});
    const auto topic = w.client.ask<MetadataResponse>(ApiKey::kMetadata, 13, request).topics.at(0);
    CHECK(topic.error_code == ErrorCode::kNone);
    CHECK(topic.name == "t");
    CHECK(topic.partitions.size() == 3);
  }
}

TEST_CASE("consumer groups: partitions that are added and topics that go are noticed") {
  World w;
  w.beat(joining());
  CreatePartitionsRequest grow{.timeout_ms = 1000};
  grow.topics.push_back({.name = "t", .count = 5});
  w.client.ask<CreatePartitionsResponse>(ApiKey::kCreatePartitions, 3, grow);
  CHECK(w.beat(beating(1)).assignment->topic_partitions.at(0).partitions.size() == 5);
  w.client.ask<DeleteTopicsResponse>(ApiKey::kDeleteTopics, 5,
                                     DeleteTopicsRequest{.topic_names = {"t"}, .timeout_ms = 1000});
  const BeatReply reply = w.beat(beating(2));
  REQUIRE(reply.assignment);
  CHECK(reply.assignment->topic_partitions.empty());
  CHECK(w.describe().members.at(0).target_assignment.topic_partitions.empty());
}

TEST_CASE("consumer groups: offsets go by the member's epoch") {
  World w;
  w.beat(joining());
  CHECK(w.commit("m", 1) == ErrorCode::kNone);
  CHECK(w.commit("m", 0) == ErrorCode::kStaleMemberEpoch);
  CHECK(w.commit("nobody", 1) == ErrorCode::kUnknownMemberId);
  CHECK(w.commit("", -1) == ErrorCode::kUnknownMemberId);
  CHECK(w.commit("m", 1, 8) == ErrorCode::kUnsupportedVersion);
  CHECK(w.fetch("m", 1).topics.at(0).partitions.at(0).committed_offset == 5);
  CHECK(w.fetch(std::nullopt, -1).topics.size() == 1);
  CHECK(w.fetch("m", 2).error_code == ErrorCode::kStaleMemberEpoch);
  CHECK(w.fetch("nobody", 1).error_code == ErrorCode::kUnknownMemberId);
  w.beat(beating(-1));
  CHECK(w.commit("", -1, 8) == ErrorCode::kNone);
}

TEST_CASE("consumer groups: tools see them, and the other kind apart") {
  World w;
  Beat request = joining();
  request.rack_id = "r1";
  w.beat(request);
  const auto group = w.describe();
  CHECK(group.error_code == ErrorCode::kNone);
  CHECK(group.group_state == "Stable");
  CHECK(group.group_epoch == 1);
  CHECK(group.assignment_epoch == 1);
  CHECK(group.assignor_name == "uniform");
  CHECK(group.authorized_operations != INT32_MIN);
  const auto& member = group.members.at(0);
  CHECK(member.rack_id == "r1");
  CHECK(member.client_host == "/127.0.0.1");
  CHECK(member.member_type == 1);
  CHECK(member.subscribed_topic_names == std::vector<std::string>{"t"});
  CHECK(member.assignment.topic_partitions.at(0).topic_name == "t");
  CHECK(member.target_assignment.topic_partitions.at(0).partitions.size() == 3);
  CHECK(w.describe("absent").error_code == ErrorCode::kGroupIdNotFound);
  CHECK(w.describe("").error_code == ErrorCode::kInvalidGroupId);

  const auto listed = w.list({"Consumer"}, {"stable"}).groups;
  REQUIRE(listed.size() == 1);
  CHECK(listed[0].group_type == "consumer");
  CHECK(listed[0].protocol_type == "consumer");
  CHECK(w.list({"classic"}).groups.empty());
  CHECK(w.list({}, {"Reconciling"}).groups.empty());

  const DescribeGroupsRequest classic{.groups = {"g"}};
  CHECK(w.client.ask<DescribeGroupsResponse>(ApiKey::kDescribeGroups, 6, classic).groups.at(0).error_code ==
        ErrorCode::kGroupIdNotFound);
  CHECK(w.client.ask<DescribeGroupsResponse>(ApiKey::kDescribeGroups, 5, classic).groups.at(0).group_state == "Dead");
}

TEST_CASE("consumer groups: a group with members is not deleted, nor are offsets of its topics") {
  World w;
  w.beat(joining());
  w.commit("m", 1);
  const DeleteGroupsRequest removal{.group_names = {"g"}};
  const auto removed = [&] {
    return w.client.ask<DeleteGroupsResponse>(ApiKey::kDeleteGroups, 2, removal).results.at(0).error_code;
  };
  CHECK(removed() == ErrorCode::kNonEmptyGroup);
  OffsetDeleteRequest offsets{.group_id = "g"};
  offsets.topics.push_back({.name = "t"});
  offsets.topics[0].partitions.push_back({.partition_index = 0});
  const auto deleted = w.client.ask<OffsetDeleteResponse>(ApiKey::kOffsetDelete, 0, offsets);
  CHECK(deleted.topics.at(0).partitions.at(0).error_code == ErrorCode::kGroupSubscribedToTopic);
  w.beat(beating(-1));
  CHECK(removed() == ErrorCode::kNone);
  CHECK(w.describe().error_code == ErrorCode::kGroupIdNotFound);
}

TEST_CASE("consumer groups: a group with members keeps its protocol, an empty one takes the next") {
  World w;
  w.beat(joining());
  w.commit("m", 1);
  CHECK(w.join_classic().error_code == ErrorCode::kInconsistentGroupProtocol);
  HeartbeatRequest heartbeat{.group_id = "g", .generation_id = 1, .member_id = "m"};
  CHECK(w.client.ask<HeartbeatResponse>(ApiKey::kHeartbeat, 4, heartbeat).error_code == ErrorCode::kUnknownMemberId);
  SyncGroupRequest sync{.group_id = "g", .generation_id = 1, .member_id = "m"};
  CHECK(w.client.ask<SyncGroupResponse>(ApiKey::kSyncGroup, 2, sync).error_code == ErrorCode::kUnknownMemberId);
  w.beat(beating(-1));
  const JoinGroupResponse led = w.join_classic();
  CHECK(led.error_code == ErrorCode::kNone);
  CHECK(led.generation_id > 1);
  CHECK(w.error_of(joining()) == ErrorCode::kGroupIdNotFound);
  CHECK(w.describe().error_code == ErrorCode::kGroupIdNotFound);
  CHECK(w.list({"classic"}).groups.size() == 1);
  LeaveGroupRequest leave{.group_id = "g", .member_id = led.member_id};
  CHECK(w.client.ask<LeaveGroupResponse>(ApiKey::kLeaveGroup, 1, leave).error_code == ErrorCode::kNone);
  CHECK(w.beat(joining()).member_epoch > led.generation_id);
  CHECK(w.fetch(std::nullopt, -1).topics.at(0).partitions.at(0).committed_offset == 5);
}

TEST_CASE("consumer groups: members of many connections share, and a silent one is put out") {
  World w;
  TestClient other(w.broker);
  w.beat(joining());
  const auto second = other.ask<BeatReply>(ApiKey::kConsumerGroupHeartbeat, 1, joining("n"));
  CHECK(second.assignment->topic_partitions.empty());
  const BeatReply less = w.beat(beating(1));
  REQUIRE(less.assignment);
  CHECK(less.member_epoch == 1);
  CHECK(w.describe().group_state == "Reconciling");
  Beat gave_up = beating(1);
  gave_up.topic_partitions.emplace();
  for (const auto& topic : less.assignment->topic_partitions) {
    gave_up.topic_partitions->push_back({topic.topic_id, topic.partitions});
  }
  CHECK(w.beat(gave_up).member_epoch == 2);
  const auto more = other.ask<BeatReply>(ApiKey::kConsumerGroupHeartbeat, 1, beating(2, "n"));
  REQUIRE(more.assignment);
  CHECK(more.assignment->topic_partitions.at(0).partitions.size() == 1);
  w.broker.world.run_for(std::chrono::milliseconds(44'000));
  CHECK(w.error_of(beating(2)) == ErrorCode::kNone);
  w.broker.world.run_for(std::chrono::milliseconds(2'000));
  CHECK(w.describe().members.size() == 1);
}

}  // namespace
}  // namespace polylog::kafka
