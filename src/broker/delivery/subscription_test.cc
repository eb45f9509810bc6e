#include "broker/delivery/subscription.h"

#include <doctest/doctest.h>

#include <map>
#include <set>

#include "io/sim/random.h"

namespace polylog::broker {
namespace {

using Ranges = std::vector<OffsetRange>;

// What a subscription is, entry by entry.
struct Model {
  enum class State { kReady, kOpen, kSettled };
  struct Entry {
    State state = State::kReady;
    bool delivered = false;
  };
  std::vector<Entry> entries;

  std::vector<int64_t> in_state(State state) const {
    std::vector<int64_t> found;
    for (size_t i = 0; i < entries.size(); ++i)
      if (entries[i].state == state) found.push_back(static_cast<int64_t>(i));
    return found;
  }
};

Ranges random_ranges(io::Random& random, int64_t end) {
  Ranges ranges;
  for (int64_t at = random.between(0, 3); at < end && ranges.size() < 4; at += random.between(2, 9)) {
    const int64_t last = std::min(end - 1, at + random.between(0, 6));
    ranges.emplace_back(Offset(at), Offset(last));
    at = last;
  }
  return ranges;
}

std::string saved(const Subscription& subscription) {
  base::Writer out;
  subscription.save(out);
  return std::string(base::as_text(out.view()));
}

TEST_CASE("random_sequences_agree_with_a_model_entry_by_entry_live_and_after_restarts") {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    io::Random random(seed);
    Subscription live;
    Model model;
    uint64_t lsn = 0;
    for (int step = 0; step < 120; ++step) {
      const auto end = static_cast<int64_t>(model.entries.size());
      switch (random.below(7)) {
        case 0:
        case 1: model.entries.resize(model.entries.size() + random.below(12)); break;
        case 2:
        case 3: {  // acquire
          const auto max = static_cast<uint32_t>(1 + random.below(10));
          const auto ready = model.in_state(Model::State::kReady);
          CHECK(live.first_ready(Offset(end)).value == (ready.empty() ? -1 : ready.front()));
          const auto runs = live.acquire(max, Offset(end));
          size_t n = 0;
          Ranges ranges;
          for (const AcquiredRun& run : runs) {
            for (Offset at = run.first; at <= run.last; at = at.next(), ++n) {
              REQUIRE(n < ready.size());
              REQUIRE(at.value == ready[n]);
              Model::Entry& entry = model.entries[static_cast<size_t>(at.value)];
              REQUIRE(run.redelivered == entry.delivered);
              entry = {Model::State::kOpen, true};
            }
            ranges.emplace_back(run.first, run.last);
          }
          CHECK(n == std::min<size_t>(max, ready.size()));
          if (!ranges.empty()) live.apply_delivered(ranges, base::Lsn(++lsn));
          break;
        }
        case 4: {  // settle
          const Ranges open = live.open_within(random_ranges(random, end));
          if (open.empty()) break;
          live.apply_settled(open, base::Lsn(++lsn));
          for (const auto& [first, last] : open)
            for (int64_t at = first.value; at <= last.value; ++at) {
              REQUIRE(model.entries[static_cast<size_t>(at)].state == Model::State::kOpen);
              model.entries[static_cast<size_t>(at)] = {Model::State::kSettled, false};
            }
          break;
        }
        case 5: {  // give back
          const Ranges open = live.open_within(random_ranges(random, end));
          live.give_back(open);
          for (const auto& [first, last] : open)
            for (int64_t at = first.value; at <= last.value; ++at)
              model.entries[static_cast<size_t>(at)].state = Model::State::kReady;
          break;
        }
        case 6: {
          if (random.chance(0.5)) {  // purge
            const Ranges ready = live.ready_ranges(Offset(end));
            live.apply_settled(ready, base::Lsn(++lsn));
            for (int64_t at : model.in_state(Model::State::kReady))
              model.entries[static_cast<size_t>(at)] = {Model::State::kSettled, false};
          } else {  // restart from what is durable
            const std::string bytes = saved(live);
            Subscription again;
            base::Reader in(base::as_view(bytes));
            REQUIRE(again.load(in, live.stamp()));
            again.restart();
            CHECK(saved(again) == bytes);
            live = again;
            for (auto& entry : model.entries)
              if (entry.state == Model::State::kOpen) entry.state = Model::State::kReady;
          }
          break;
        }
      }
      const auto total = Offset(static_cast<int64_t>(model.entries.size()));
      REQUIRE(live.ready_count(total) == model.in_state(Model::State::kReady).size());
      REQUIRE(live.open_count() == model.in_state(Model::State::kOpen).size());
      int64_t floor = 0;
      while (floor < total.value && model.entries[static_cast<size_t>(floor)].state == Model::State::kSettled) ++floor;
      REQUIRE(live.floor().value == floor);
    }
  }
}

TEST_CASE("replaying_delivered_and_settled_gives_the_saved_bytes_of_the_live_one") {
  Subscription live, replayed;
  io::Random random(7);
  uint64_t lsn = 0;
  for (int step = 0; step < 300; ++step) {
    Ranges ranges;
    for (const AcquiredRun& run : live.acquire(static_cast<uint32_t>(1 + random.below(9)), Offset(step * 3)))
      ranges.emplace_back(run.first, run.last);
    live.apply_delivered(ranges, base::Lsn(++lsn));
    replayed.apply_delivered(ranges, base::Lsn(lsn));
    const Ranges settled = live.open_within(random_ranges(random, step * 3));
    live.apply_settled(settled, base::Lsn(++lsn));
    replayed.apply_settled(settled, base::Lsn(lsn));
  }
  CHECK(saved(live) == saved(replayed));
  CHECK(live.stamp() == replayed.stamp());
}

TEST_CASE("a_damaged_save_does_not_load") {
  Subscription live;
  live.acquire(5, Offset(9));
  live.apply_delivered({{Offset(0), Offset(4)}}, base::Lsn(1));
  const std::string bytes = saved(live);
  for (size_t size = 0; size < bytes.size(); ++size) {
    Subscription again;
    base::Reader in(base::as_view(bytes).first(size));
    CHECK(!again.load(in, {}));
  }
  Subscription again;
  const std::string longer = bytes + "x";
  base::Reader in(base::as_view(longer));
  CHECK(!again.load(in, {}));
}

// --- saved in parts

// A subscription with the log of what was done to it.
struct Logged {
  explicit Logged(uint64_t seed) : random(seed) {}

  void change() {
    entries += random.between(0, 12);
    Ranges ranges;
    if (random.chance(0.5)) {
      for (const AcquiredRun& run : live.acquire(static_cast<uint32_t>(1 + random.below(10)), Offset(entries)))
        ranges.emplace_back(run.first, run.last);
      return apply(true, std::move(ranges));
    }
    ranges = live.open_within(random_ranges(random, entries));
    if (random.chance(0.1)) {
      for (const auto& [first, last] : ranges) live.give_back({{first, last}});
      return;
    }
    if (random.chance(0.1)) ranges = live.ready_ranges(Offset(entries));  // purge
    apply(false, std::move(ranges));
  }
  void apply(bool delivered, Ranges ranges) {
    if (ranges.empty()) return;
    log.emplace_back(delivered, std::move(ranges));
    apply_to(live, log.size() - 1);
  }
  void apply_to(Subscription& subscription, size_t at) const {
    const auto& [delivered, ranges] = log[at];
    const base::Lsn lsn(at + 1);
    delivered ? subscription.apply_delivered(ranges, lsn) : subscription.apply_settled(ranges, lsn);
  }

  io::Random random;
  Subscription live;
  std::vector<std::pair<bool, Ranges>> log;
  int64_t entries = 0;
};

TEST_CASE("a_subscription_saved_in_parts_while_it_changes_is_the_same_after_replay") {
  size_t in_parts = 0;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    CAPTURE(seed);
    Logged logged(seed);
    for (int i = 0; i < 80; ++i) logged.change();
    const size_t stamp = logged.log.size();
    Subscription loaded;
    const size_t ranges_max = 1 + logged.random.below(6);
    base::Writer out;
    auto part = logged.live.save(out, ranges_max);
    base::Reader head(out.view());
    REQUIRE(loaded.load(head, base::Lsn(stamp)));
    while (!part.is_last()) {
      ++in_parts;
      for (uint64_t left = logged.random.below(8); left > 0; --left) logged.change();
      out.clear();
      const Offset before = part.next;
      part = logged.live.save_more(out, part, ranges_max);
      REQUIRE(part.next > before);
      CHECK(out.size() <= 16 + 2 * 16 * ranges_max);
      base::Reader more(out.view());
      REQUIRE(loaded.load_more(more));
    }
    for (uint64_t left = logged.random.below(20); left > 0; --left) logged.change();
    for (size_t i = stamp; i < logged.log.size(); ++i) logged.apply_to(loaded, i);
    CHECK(saved(loaded) == saved(logged.live));
    Subscription again = logged.live;
    again.restart();
    loaded.restart();
    CHECK(loaded.ready_ranges(Offset(logged.entries)) == again.ready_ranges(Offset(logged.entries)));
  }
  CHECK(in_parts > 1000);
}

TEST_CASE("as_many_ranges_as_a_part_takes_are_one_part_and_one_more_makes_two") {
  constexpr size_t kMax = 8;
  for (const bool of_settled : {false, true}) {
    for (const size_t count : {kMax, kMax + 1, 2 * kMax, 2 * kMax + 1}) {
      Subscription live;
      live.acquire(1000, Offset(1000));
      for (size_t i = 0; i < count; ++i) {
        const Offset at(static_cast<int64_t>(1 + 2 * i));
        of_settled ? live.apply_settled({{at, at}}, base::Lsn(i + 1))
                   : live.apply_delivered({{at, at}}, base::Lsn(i + 1));
      }
      base::Writer out;
      size_t parts = 1;
      for (auto part = live.save(out, kMax); !part.is_last(); ++parts) part = live.save_more(out, part, kMax);
      CHECK(parts == (count + kMax - 1) / kMax);
      CHECK(out.size() == parts * 16 + count * 16);
    }
  }
}

TEST_CASE("what_was_settled_and_passed_by_the_floor_between_two_parts_stays_settled") {
  Subscription live, loaded;
  live.acquire(100, Offset(100));
  live.apply_settled({{Offset(1), Offset(1)}, {Offset(3), Offset(3)}, {Offset(5), Offset(9)}}, base::Lsn(1));
  base::Writer out;
  auto part = live.save(out, 1);
  base::Reader head(out.view());
  REQUIRE(loaded.load(head, base::Lsn(1)));
  const Ranges rest{{Offset(0), Offset(0)}, {Offset(2), Offset(2)}, {Offset(4), Offset(4)}};
  live.apply_settled(rest, base::Lsn(2));  // the floor is 10: no range is left of what the head did not show
  while (!part.is_last()) {
    out.clear();
    part = live.save_more(out, part, 1);
    base::Reader more(out.view());
    REQUIRE(loaded.load_more(more));
  }
  loaded.apply_settled(rest, base::Lsn(2));
  CHECK(loaded.floor() == Offset(10));
  CHECK(saved(loaded) == saved(live));
}

}  // namespace
}  // namespace polylog::broker
