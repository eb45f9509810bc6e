#include "storage/local_meta_store.h"

#include <doctest/doctest.h>

#include "base/limits.h"
#include "io/sim/sim_disk.h"
#include "io/sim/sim_loop.h"

namespace polylog::storage {
namespace {

using base::ErrorCode;

struct Kit {
  explicit Kit(uint64_t seed = 1) : world({.seed = seed}), disk(seed) {}
  ~Kit() { close(); }
  void close() {
    world.crash();
    store.reset();
  }
  void crash() {
    close();
    disk.crash();
  }
  base::Result<> open() {
    close();
    store = std::make_unique<LocalMetaStore>(world.loop(0), disk, "/meta");
    return store->open();
  }
  base::Result<> put(const std::string& key, const std::string& value) {
    return commit({.puts = {{key, value}}, .removes = {}});
  }
  base::Result<> commit(MetaTxn txn) {
    base::Result<> result = base::fail(ErrorCode::kTimeout);
    store->commit(std::move(txn), [&](const base::Result<>& r) { result = r; });
    world.run_for(std::chrono::milliseconds(100));
    return result;
  }
  uint64_t file_bytes() { return *(*disk.open("/meta/meta.plm", io::OpenMode::kRead))->size(); }

  io::SimWorld world;
  io::SimDisk disk;
  std::unique_ptr<LocalMetaStore> store;
};

TEST_CASE("what_was_answered_survives_and_reads_see_only_that") {
  Kit kit;
  REQUIRE(kit.open());
  bool done = false;
  kit.store->commit({.puts = {{"a", "1"}, {"b", "2"}}, .removes = {}},
                    [&](const base::Result<>& r) { done = r.has_value(); });
  CHECK(!kit.store->get("a"));
  kit.world.run_for(std::chrono::milliseconds(100));
  CHECK(done);
  REQUIRE(kit.commit({.puts = {{"ab", ""}}, .removes = {"b", "nothing"}}));
  kit.crash();
  REQUIRE(kit.open());
  CHECK(kit.store->get("a") == "1");
  CHECK(!kit.store->get("b"));
  CHECK(kit.store->get("ab") == "");
  CHECK(kit.store->range("a").size() == 2);
  CHECK(kit.store->range("").size() == 2);
  CHECK(kit.store->range("b").empty());
}

TEST_CASE("transactions_during_a_sync_share_a_record_and_are_answered_in_order_the_empty_ones_too") {
  Kit kit;
  REQUIRE(kit.open());
  const uint64_t syncs = kit.disk.counts().syncs;
  std::vector<int> order;
  for (int i = 0; i < 50; ++i) {
    MetaTxn txn;
    if (i % 3 != 0) txn.puts = {{"k" + std::to_string(i), "v"}};
    kit.store->commit(std::move(txn), [&, i](const base::Result<>&) { order.push_back(i); });
  }
  kit.world.run_for(std::chrono::seconds(1));
  REQUIRE(order.size() == 50);
  for (int i = 0; i < 50; ++i) CHECK(order[static_cast<size_t>(i)] == i);
  CHECK(kit.disk.counts().syncs - syncs <= 2);
}

TEST_CASE("a_torn_last_record_is_cut_and_its_place_used_again") {
  for (uint64_t cut = 1; cut < 64; cut += 7) {
    Kit kit;
    REQUIRE(kit.open());
    REQUIRE(kit.put("a", "1"));
    const uint64_t first = kit.file_bytes();
    REQUIRE(kit.put("b", std::string(200, 'b')));
    kit.close();
    REQUIRE((*kit.disk.open("/meta/meta.plm", io::OpenMode::kReadWrite))->truncate(first + cut));
    REQUIRE(kit.open());
    CHECK(kit.store->get("a") == "1");
    CHECK(!kit.store->get("b"));
    CHECK(kit.file_bytes() == first);
    REQUIRE(kit.put("c", "3"));
    kit.crash();
    REQUIRE(kit.open());
    CHECK(kit.store->get("c") == "3");
  }
}

TEST_CASE("a_last_record_whose_padding_is_cut_off_counts_and_the_next_one_follows_it") {
  Kit kit;
  REQUIRE(kit.open());
  REQUIRE(kit.put("a", "1"));
  kit.close();
  const uint64_t whole = kit.file_bytes();
  REQUIRE((*kit.disk.open("/meta/meta.plm", io::OpenMode::kReadWrite))->truncate(whole - 1));
  REQUIRE(kit.open());
  CHECK(kit.store->get("a") == "1");
  REQUIRE(kit.put("b", "2"));
  REQUIRE(kit.open());
  CHECK(kit.store->get("a") == "1");
  CHECK(kit.store->get("b") == "2");
}

TEST_CASE("a_damaged_record_with_a_sound_one_behind_it_is_refused_also_after_rewrites") {
  for (const bool rewritten : {false, true}) {
    Kit kit;
    REQUIRE(kit.open());
    const std::string large(300'000, 'x');
    for (int i = 0; i < (rewritten ? 30 : 3); ++i) REQUIRE(kit.put("k", large));
    kit.close();
    REQUIRE(kit.disk.flip_bit("/meta/meta.plm", 100, 1));
    const auto opened = kit.open();
    REQUIRE(!opened);
    CHECK(opened.error().code == ErrorCode::kCorrupt);
    CHECK(opened.error().text.find("meta.plm at offset 0") != std::string::npos);
  }
}

TEST_CASE("garbage_is_rewritten_away_and_every_crash_leaves_what_was_answered") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Kit kit(seed);
    REQUIRE(kit.open());
    std::map<std::string, std::string> answered, asked;
    for (int i = 0; i < 60; ++i) {
      const std::string key = "k" + std::to_string(kit.world.random().below(5));
      const std::string value = std::to_string(i) + std::string(kit.world.random().below(200'000), 'v');
      kit.store->commit({.puts = {{key, value}}, .removes = {}}, [&, key, value](const base::Result<>& result) {
        REQUIRE(result);
        answered[key] = value;
      });
      asked[key] = value;
      kit.world.run_for(std::chrono::microseconds(kit.world.random().below(3000)));
      if (i % 20 != 19) continue;
      kit.crash();
      REQUIRE(kit.open());
      for (const auto& [k, v] : answered) {
        const auto stored = kit.store->get(k);
        REQUIRE(stored);
        CHECK((*stored == v || *stored == asked[k] || std::stoi(*stored) > std::stoi(v)));
        answered[k] = asked[k] = *stored;
      }
    }
    CHECK(kit.file_bytes() < 8 * base::limits::kMiB);
  }
}

TEST_CASE("a_full_disk_refuses_and_writing_resumes_with_space") {
  Kit kit;
  REQUIRE(kit.open());
  REQUIRE(kit.put("a", "1"));
  kit.disk.fill_after(0);
  base::Result<> put;
  for (int i = 0; i < 50 && put; ++i)
    put = kit.put("fill", std::string(300'000, 'f'));  // what was set aside goes first
  REQUIRE(!put);
  CHECK(put.error().code == ErrorCode::kDiskFull);
  CHECK(!kit.put("b", std::string(3'000'000, 'b')));
  CHECK(!kit.store->get("b"));
  kit.disk.faults.capacity_bytes = UINT64_MAX;
  CHECK(kit.put("c", "3"));
  kit.crash();
  REQUIRE(kit.open());
  CHECK(kit.store->get("a") == "1");
  CHECK(!kit.store->get("b"));
  CHECK(kit.store->get("c") == "3");
}

TEST_CASE("the_reserve_lets_a_change_through_on_a_full_disk_and_comes_back_with_space") {
  Kit kit;
  REQUIRE(kit.open());
  const auto has_reserve = [&] { return kit.disk.open("/meta/meta.reserve", io::OpenMode::kRead).has_value(); };
  REQUIRE(kit.put("a", "1"));
  CHECK(has_reserve());
  kit.disk.fill_after(0);
  while (has_reserve()) REQUIRE(kit.put("b", std::string(1000, '2')));  // until the file has to grow
  CHECK(kit.store->get("b"));
  CHECK(kit.put("c", "3"));  // there is room now for some
  kit.disk.faults.capacity_bytes = UINT64_MAX;
  CHECK(kit.put("d", "4"));
  CHECK(has_reserve());
  kit.crash();
  REQUIRE(kit.open());
  CHECK(kit.store->get("b"));
}

TEST_CASE("after_a_failed_sync_nothing_is_accepted") {
  Kit kit;
  REQUIRE(kit.open());
  kit.disk.faults.sync_error = 1;
  CHECK(kit.put("a", "1").error().code == ErrorCode::kIo);
  kit.disk.faults.sync_error = 0;
  CHECK(!kit.put("b", "2"));
  CHECK(!kit.store->get("a"));
}

}  // namespace
}  // namespace polylog::storage
