#include "protocol/kafka/subscription.h"

#include <doctest/doctest.h>

#include "base/wire.h"

namespace polylog::kafka {
namespace {

using Names = std::vector<std::string>;

void write_topics(base::Writer& out, int16_t version, const Names& topics) {
  out.i16be(version);
  out.i32be(static_cast<int32_t>(topics.size()));
  for (const std::string& topic : topics) {
    out.i16be(static_cast<int16_t>(topic.size()));
    out.text(topic);
  }
}

std::vector<uint8_t> metadata(int16_t version, const Names& topics) {
  base::Writer out;
  write_topics(out, version, topics);
  out.i32be(-1);                    // user data: null
  if (version >= 1) out.i32be(0);   // owned partitions
  if (version >= 2) out.i32be(-1);  // generation
  if (version >= 3) out.i16be(-1);  // rack: null
  return out.buffer();
}

TEST_CASE("kafka subscription: the topics of every version are read") {
  for (int16_t version = 0; version <= 4; ++version) {
    const auto topics = subscription_of(metadata(version, {"orders", "returns"}));
    REQUIRE(topics.has_value());
    CHECK(*topics == Names{"orders", "returns"});
  }
}

TEST_CASE("kafka subscription: owned partitions are read from version 1 on, and what is damaged owns nothing") {
  base::Writer out;
  write_topics(out, 1, {"t"});
  out.i32be(2);
  out.text("ud");
  out.i32be(1);
  out.i16be(1);
  out.text("t");
  out.i32be(2);
  out.i32be(0);
  out.i32be(7);
  JoinGroupRequest request{.protocol_type = "consumer"};
  request.protocols = {{"range", out.view()}, {"x", {}}};
  CHECK(owned_of(request) == std::vector<broker::CursorKey>{{"t", 0}, {"t", 7}});
  const size_t before_the_partitions = out.size() - 8;
  for (size_t size = 0; size < before_the_partitions; ++size) {
    request.protocols[0].metadata = out.view().first(size);
    CHECK(owned_of(request).empty());
  }
  const auto old = metadata(0, {"t"});
  request.protocols[0].metadata = old;
  CHECK(owned_of(request).empty());
  request.protocol_type = "connect";
  request.protocols[0].metadata = out.view();
  CHECK(owned_of(request).empty());
}

TEST_CASE("kafka subscription: an assignment lists partitions by topic") {
  const auto bytes = assignment_of({{"t", 0}, {"u", 1}, {"t", 2}});
  base::Writer expected;
  expected.i16be(0);
  expected.i32be(2);
  expected.i16be(1);
  expected.text("t");
  for (const int32_t n : {2, 0, 2}) expected.i32be(n);
  expected.i16be(1);
  expected.text("u");
  for (const int32_t n : {1, 1, -1}) expected.i32be(n);
  CHECK(bytes == expected.buffer());
}

TEST_CASE("kafka subscription: what follows the topics may be missing") {
  base::Writer out;
  write_topics(out, 3, {"orders"});
  const auto topics = subscription_of(out.view());
  REQUIRE(topics.has_value());
  CHECK(*topics == Names{"orders"});
}

TEST_CASE("kafka subscription: a cut anywhere before the end of the topics is unreadable") {
  base::Writer out;
  write_topics(out, 1, {"orders", "returns"});
  for (size_t size = 0; size < out.size(); ++size) CHECK_FALSE(subscription_of(out.view().first(size)).has_value());
}

TEST_CASE("kafka subscription: impossible counts and sizes are unreadable") {
  const auto with = [](int16_t version, int32_t count, int16_t size) {
    base::Writer out;
    out.i16be(version);
    out.i32be(count);
    out.i16be(size);
    out.text("topic");
    return subscription_of(out.view());
  };
  CHECK(with(0, 1, 5).has_value());
  CHECK_FALSE(with(-1, 1, 5).has_value());
  CHECK_FALSE(with(0, -1, 5).has_value());
  CHECK_FALSE(with(0, INT32_MAX, 5).has_value());
  CHECK_FALSE(with(0, 1, -1).has_value());
  CHECK_FALSE(with(0, 1, 6).has_value());
}

TEST_CASE("kafka subscription: a member subscribes to what any of its protocols names") {
  const auto range = metadata(1, {"b", "a"}), sticky = metadata(1, {"a", "c"});
  JoinGroupRequest request{.protocol_type = "consumer", .protocols = {{"range", range}, {"sticky", sticky}}};
  CHECK(subscriptions_of(request) == Names{"a", "b", "c"});
}

TEST_CASE("kafka subscription: one unreadable protocol makes the whole opaque") {
  const auto range = metadata(1, {"a"});
  const std::vector<uint8_t> junk{0, 1, 2};
  JoinGroupRequest request{.protocol_type = "consumer", .protocols = {{"range", range}, {"own", junk}}};
  CHECK_FALSE(subscriptions_of(request).has_value());
}

TEST_CASE("kafka subscription: other protocol types are opaque") {
  const auto range = metadata(1, {"a"});
  JoinGroupRequest request{.protocol_type = "connect", .protocols = {{"range", range}}};
  CHECK_FALSE(subscriptions_of(request).has_value());
}

}  // namespace
}  // namespace polylog::kafka
