#include "broker/groups/pattern_index.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "broker/groups/group_test_kit.h"

namespace polylog::broker {
namespace {

using Matched = PatternIndex::Matched;

struct Indexed {
  // Each of which stands for all names that begin with "all".
  void find(size_t patterns) {
    for (size_t i = 0; i < patterns; ++i) held.push_back(index.find("all.*|t" + std::to_string(i)));
  }
  bool each_has(size_t names) const {
    return std::ranges::all_of(held, [&](const auto& matched) { return matched->streams.size() == names; });
  }
  void put(const std::string& name) {
    streams.put(name, 1);
    index.stream_changed(name);
  }

  group_test::FakeStreams streams;
  PatternIndex index{streams};
  std::vector<std::shared_ptr<const Matched>> held;
};

TEST_CASE("patterns: streams that change are compared a share at a time, in order") {
  Indexed i;
  i.find(PatternIndex::kPatternsMax);
  constexpr size_t kShare = PatternIndex::kComparisonsPerTurn / PatternIndex::kPatternsMax;
  for (size_t n = 0; n < kShare + 1; ++n) i.put("all-" + std::to_string(n));
  CHECK(i.each_has(0));
  i.index.compare_some();
  CHECK(i.each_has(kShare));
  CHECK(i.index.has_changes());
  i.index.compare_some();
  CHECK_FALSE(i.index.has_changes());
  CHECK(i.each_has(kShare + 1));
}

TEST_CASE("patterns: what changes several times before it is compared is as it is in the end") {
  Indexed i;
  i.find(1);
  i.put("all-a");
  i.put("all-b");
  i.put("t0");
  i.streams.streams.erase("all-a");
  i.index.stream_changed("all-a");
  i.put("other");
  i.streams.put("all-b", 7);
  i.index.stream_changed("all-b");
  while (i.index.has_changes()) i.index.compare_some();
  const auto& found = i.held.front()->streams;
  CHECK(found.size() == 2);
  CHECK(found.at("all-b").partition_count == 7);
  CHECK(found.contains("t0"));
}

TEST_CASE("patterns: without any, changes wait for nothing, and a new one finds all there is") {
  Indexed i;
  i.put("all-a");
  CHECK_FALSE(i.index.has_changes());
  i.find(1);
  CHECK(i.held.front()->streams.size() == 1);
  i.put("all-b");
  const auto later = i.index.find("all-b");
  CHECK(later->streams.size() == 1);
  i.index.compare_some();
  CHECK(later->streams.size() == 1);
  CHECK(i.held.front()->streams.size() == 2);
}

TEST_CASE("patterns: what nobody holds makes room, what is no pattern is none and not new") {
  Indexed i;
  i.find(PatternIndex::kPatternsMax);
  CHECK(i.index.has_room_for("all.*|t0"));
  CHECK_FALSE(i.index.has_room_for("another"));
  i.held.pop_back();
  CHECK(i.index.has_room_for("another"));
  CHECK(i.index.is_new("another"));
  CHECK_FALSE(i.index.is_new("all.*|t0"));
  CHECK_FALSE(i.index.is_new("("));
  CHECK(i.index.find("(") == nullptr);
  CHECK(i.index.is_new(std::string(NamePattern::kTextBytesMax, 'x')));
  CHECK_FALSE(i.index.is_new(std::string(NamePattern::kTextBytesMax + 1, 'x')));
}

TEST_CASE("patterns: those that take much memory have room for as many as their share holds") {
  Indexed i;
  constexpr size_t kManyMax = PatternIndex::kCompiledBytesMax / NamePattern::kCompiledBytesMax;
  std::string long_text;
  while (NamePattern::parse(long_text)->compiled_bytes() < NamePattern::kCompiledBytesMax) long_text += "a{1000}";
  const auto large = [&](size_t number) { return long_text + std::to_string(number); };
  for (size_t n = 0; n < kManyMax; ++n) {
    REQUIRE(i.index.has_room_for(large(n)));
    i.held.push_back(i.index.find(large(n)));
  }
  CHECK_FALSE(i.index.has_room_for(large(kManyMax)));
  CHECK_FALSE(i.index.has_room_for("little"));
  CHECK(i.index.has_room_for(large(0)));
  i.held.pop_back();
  CHECK(i.index.has_room_for("little"));
  CHECK(i.index.has_room_for(large(kManyMax)));
}

}  // namespace
}  // namespace polylog::broker
