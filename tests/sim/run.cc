#include "tests/sim/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "tests/sim/cast.h"
#include "tests/sim/keyed.h"
#include "tests/sim/scanner.h"

namespace polylog::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kDiskFull = "disk full";

class Run {
 public:
  explicit Run(const RunOptions& options)
      : options_(options), world_(options.seed, options.bug), scene_(world_, model_, world_.random()) {
    model_.believe_acks = options.bug != Bug::kDirtyRead;
  }

  RunResult run() {
    if (set_up()) {
      while (!model_.broken() && worked_ < options_.steps) phase();
      if (!model_.broken()) finish();
    }
    return result();
  }

 private:
  // --- the cast

  bool set_up() {
    if (const auto started = world_.start(); !started) {
      model_.violation("start", "on an empty disk: " + started.error().text);
      return false;
    }
    declare_all();
    if (model_.broken()) return false;
    const bool readers_only = options_.bug == Bug::kDirtyRead;
    uint64_t id = 0;
    const auto add = [&](std::unique_ptr<Client> client) { clients_.push_back(std::move(client)); };
    for (size_t core = 0; core < kCores; ++core) {
      add(make_producer(scene_, core, id++));
      add(make_reader(scene_, core, id++));
      add(make_reader(scene_, core, id++));
      if (readers_only) continue;
      add(make_numbered_producer(scene_, core, id++, scene_.streams[core]));
      add(make_keyed_writer(scene_, core, id++, keyed_));
      add(make_keyed_reader(scene_, core, id++, keyed_));
      add(make_committer(scene_, core, id++));
      for (int i = 0; i < 2; ++i) add(make_member(scene_, core, id++));
      for (int i = 0; i < 2; ++i) add(make_managed_member(scene_, core, id++));
      for (size_t i = 0; i < 2; ++i) add(make_consumer(scene_, core, id++, scene_.queues[i], false));
      if (options_.bug != Bug::kSwallowDelivery) add(make_consumer(scene_, core, id++, scene_.queues[2], true));
    }
    if (!readers_only) {
      auto declarer = make_declarer(scene_, 1, id++);
      declarer_ = declarer.get();
      add(std::move(declarer));
    }
    clients_up();
    return true;
  }

  void declare_all() {
    Scanner setup(scene_, 0, 10'000);
    setup.node_up();
    const auto declare = [&](const char* name, broker::StreamKind kind, uint32_t partitions,
                             std::vector<Target>& into) {
      const auto record = setup.declare(name, kind, partitions);
      if (!record) return model_.violation("available", "a stream cannot be declared on a sound disk");
      for (uint32_t i = 0; i < partitions; ++i) into.push_back({record->key(i), record->partitions[i]});
    };
    declare("wide", broker::StreamKind::kStream, 3, scene_.streams);
    declare(kKeyedStream, broker::StreamKind::kStream, 2, scene_.keyed);
    declare("narrow", broker::StreamKind::kStream, 1, scene_.streams);
    for (const char* name : {"first", "second", "lossy"}) declare(name, broker::StreamKind::kQueue, 1, scene_.queues);
    for (const char* group : {kSharedGroup, kManagedGroup}) {
      if (!setup.keep_group(group)) model_.violation("available", "a cursor cannot be committed on a sound disk");
    }
    setup.close();
  }

  void clients_up() {
    for (const auto& client : clients_) client->node_up();
  }
  void clients_down() {
    for (const auto& client : clients_) client->node_down();
  }

  // --- phases: work under one kind of fault, then a crash or a check

  void phase() {
    const char* name = begin_faults();
    const uint64_t begun = world_.loops().event_count();
    const uint64_t length = world_.random().chance(0.15) ? 20'000 : 2'500;
    const uint64_t until = begun + 300 + world_.random().below(length);
    if (world_.random().chance(0.5)) world_.power().cut_after(1 + world_.random().below(200));
    while (!model_.broken() && world_.loops().event_count() < until && !world_.power().dark() &&
           world_.loops().step()) {
    }
    const bool cut = world_.power().dark();
    // Put right before the next start: a cell that opens believes the clock.
    world_.loops().jump_wall_clock(-std::exchange(clock_off_by_ms_, 0));
    power_cuts_ += cut ? 1 : 0;
    worked_ += world_.loops().event_count() - begun;
    if (!cut) world_.power().restore();
    if (options_.verbose)
      fmt::print("  {:>7} steps, phase '{}' ends{}\n", world_.loops().event_count(), name,
                 world_.node()->any_cell_failed() ? ", a cell failed" : "");
    if (model_.broken()) return;
    // A disk that stays full for long uses up the (here tiny) reserve: the cell stops rather than run ahead of its log.
    if (!cut && name == kDiskFull && world_.node()->any_cell_failed()) ++stopped_when_full_;
    const uint64_t what = world_.random().below(100);
    if (cut || world_.node()->any_cell_failed() || what < 55) {
      crash_and_recover();
    } else if (what < 75) {
      end_faults();
      if (world_.node()->any_cell_failed()) return crash_and_recover();
      quiesce();
      if (!model_.broken() && what < 65) compare_rebuilt();
      scene_.calm = false;
    } else {
      end_faults();
      check_space_is_used();
    }
  }

  // Writing resumes within 5 s of space returning.
  void check_space_is_used() {
    scene_.calm = true;
    world_.loops().run_for(seconds(5));
    scene_.calm = false;
    Scanner scanner(scene_, 0, 10'004);
    scanner.node_up();
    for (size_t cell = 0; cell < kCells && !model_.broken(); ++cell) {
      const auto target = std::find_if(scene_.streams.begin(), scene_.streams.end(),
                                       [&](const Target& t) { return t.cell.value == cell; });
      if (target == scene_.streams.end() || world_.node()->engine(cell).failed()) continue;
      if (!scanner.append(*target) && !world_.node()->engine(cell).failed())
        model_.violation("available", fmt::format("5 s after all faults an append is refused: {}",
                                                  world_.node()->engine(cell).describe()));
    }
    scanner.close();
  }

  const char* begin_faults() {
    io::Random& random = world_.random();
    auto& faults = world_.disk().faults;
    const bool sync_ignored = faults.sync_ignored;
    faults = {.sync_ignored = sync_ignored};
    scene_.reads_may_fail = false;
    switch (random.below(10)) {
      case 0:
        ++clock_jumps_;
        clock_off_by_ms_ = random.between(-40, 40) * 24 * 3600 * 1000;
        world_.loops().jump_wall_clock(clock_off_by_ms_);
        return "clock jump";
      case 1:
        faults.read_error = faults.short_read = 0.05;
        scene_.reads_may_fail = true;
        return "reads fail";
      case 2: faults.write_error = 0.01; return "writes fail";
      case 3: faults.sync_error = 0.01; return "syncs fail";
      case 4:
      case 5: world_.disk().fill_after(random.below(2 * kWalFileBytes)); return kDiskFull;
      default: return "sound";
    }
  }

  void end_faults() {
    const bool sync_ignored = world_.disk().faults.sync_ignored;
    world_.disk().faults = {.sync_ignored = sync_ignored};
    if (world_.node() != nullptr) world_.loops().run_for(milliseconds(100));  // what failed before is heard of now
    scene_.reads_may_fail = false;
  }

  // --- crashes

  void crash() {
    clients_down();
    world_.crash();
    model_.crashed();
    ++crashes_;
  }

  void crash_and_recover() {
    crash();
    // Now and then the start itself meets faults, or is cut short by another crash.
    for (int i = 0; i < 2 && world_.random().chance(0.3); ++i) {
      auto& faults = world_.disk().faults;
      const bool sync_ignored = faults.sync_ignored;
      faults = {
          .read_error = 0.02, .short_read = 0.02, .write_error = 0.1, .sync_error = 0.1, .sync_ignored = sync_ignored};
      ++faulty_starts_;
      if (world_.random().chance(0.5)) world_.power().cut_after(1 + world_.random().below(12));
      if (world_.start())
        crash();
      else
        ++refused_starts_;
      world_.power().restore();
    }
    end_faults();
    if (!start_sound()) return;
    if (declarer_ != nullptr) declarer_->check_after_start();
    if (!model_.broken() && world_.random().chance(0.5)) scan_all();
    clients_up();
  }

  bool start_sound() {
    if (const auto started = world_.start(); !started) {
      model_.violation("start", "after a crash: " + started.error().text);
      return false;
    }
    for (size_t i = 0; i < kCells; ++i)
      if (const auto& error = world_.node()->cell_error(i))
        model_.violation("start", "a cell, after a crash: " + error->text);
    return !model_.broken();
  }

  // --- checks

  // Every record of every partition, read back.
  void scan_all() {
    scene_.reads_may_fail = false;
    Scanner scanner(scene_, 1, 10'001);
    scanner.node_up();
    for (const auto* list : {&scene_.streams, &scene_.queues, &scene_.passing})
      for (const Target& target : *list)
        if (!model_.broken()) scanner.scan(target, list == &scene_.queues);
    scanner.close();
    ++scans_;
  }

  // Ends all work: clients finish what they began; then nothing waits for anything.
  void quiesce() {
    scene_.calm = true;
    const base::MonoTime until = world_.loops().now() + seconds(30);
    const auto busy = [&] {
      return std::any_of(clients_.begin(), clients_.end(), [](const auto& c) { return c->busy(); });
    };
    while (!model_.broken() && world_.loops().now() < until && (busy() || !drained()))
      world_.loops().run_for(milliseconds(50));
    if (model_.broken()) return;
    if (world_.node()->any_cell_failed()) return;
    for (const auto& client : clients_)
      if (client->busy()) return model_.violation("available", "30 s after all faults, " + client->describe());
    if (!drained())
      return model_.violation("available", "30 s after all faults a queue is not drained: " + queue_text_);
    if (declarer_ != nullptr)
      for (const Target& queue : scene_.queues) model_.drained(queue.partition);
    scan_all();
  }

  bool drained() {
    if (declarer_ == nullptr || options_.bug == Bug::kSwallowDelivery) return true;
    Scanner scanner(scene_, 0, 10'002);
    scanner.node_up();
    bool empty = true;
    for (const Target& queue : scene_.queues) {
      const auto stats = scanner.stats(queue);
      empty = empty && stats && stats->result && stats->ready == 0 && stats->open == 0;
      if (stats && (stats->ready > 0 || stats->open > 0))
        queue_text_ = fmt::format("{} ready, {} open, {} consumers", stats->ready, stats->open, stats->consumers);
    }
    scanner.close();
    return empty;
  }

  // None is under way, and what they logged is durable.
  void settle_compactions() {
    const auto settled = [&] {
      for (size_t i = 0; i < kCells; ++i) {
        storage::Cell& cell = world_.node()->engine(i).cell();
        if (cell.failed()) continue;
        if (cell.compactor().busy() || cell.committed_lsn() != cell.appended_lsn()) return false;
      }
      return true;
    };
    while (!settled()) world_.loops().run_for(milliseconds(1));
  }

  // State rebuilt from checkpoint and WAL equals the live state.
  void compare_rebuilt() {
    if (world_.node()->any_cell_failed()) return;
    for (const auto& client : clients_) client->close();
    world_.loops().run_for(seconds(4));  // members time out; nothing is under way
    if (world_.random().chance(0.5)) {
      for (size_t i = 0; i < kCells; ++i) world_.node()->engine(i).cell().checkpoint([](base::Result<>) {});
      world_.loops().run_for(seconds(1));
    }
    if (options_.bug == Bug::kUnloggedChange) {
      world_.node()->engine(0).cell().for_each_partition([](storage::Partition& p) {
        p.writers().note({.id = 99, .epoch = 0, .first_sequence = 0, .last_sequence = 0}, base::Offset(0), {1});
      });
    }
    settle_compactions();
    const auto live = world_.node()->saved_state();
    world_.crash();
    model_.crashed();
    ++comparisons_;
    if (!start_sound()) return;
    const auto rebuilt = world_.node()->saved_state();
    for (const auto& [name, bytes] : live) {
      const auto found = rebuilt.find(name);
      if (found == rebuilt.end()) return model_.violation("rebuilt_state", name + " is gone");
      if (found->second != bytes) return model_.violation("rebuilt_state", name + " differs");
    }
    for (const auto& [name, bytes] : rebuilt)
      if (!live.contains(name)) return model_.violation("rebuilt_state", name + " came from nowhere");
    if (declarer_ != nullptr) declarer_->check_after_start();
    clients_up();
  }

  // --- the end

  void finish() {
    end_faults();
    if (world_.node()->any_cell_failed()) crash_and_recover();
    if (!model_.broken()) quiesce();
    if (!model_.broken() && world_.node()->any_cell_failed())
      return model_.violation("available", "a cell failed on a sound disk");
    if (!model_.broken()) compare_rebuilt();
    if (!model_.broken() && options_.bug != Bug::kSyncIgnored) rot();
  }

  // Bits flip at rest. A damaged cell refuses, or its reads fail, or nothing of value was hit: never a wrong byte.
  void rot() {
    scene_.calm = true;
    world_.loops().run_for(seconds(3));  // the witness: everything is known to be durable
    for (int i = 0; i < 6 && !model_.broken(); ++i) {
      clients_down();
      world_.crash();
      const auto files = world_.files();
      const std::string& path = files[world_.random().below(files.size())];
      if (!rot_one(path)) return;
    }
  }

  bool rot_one(const std::string& path) {
    io::SimDisk& disk = world_.disk();
    const uint64_t size = *(*disk.open(path, io::OpenMode::kRead))->size();
    if (size == 0) return true;
    const uint64_t offset = world_.random().below(size);
    const auto bit = static_cast<unsigned>(world_.random().below(8));
    disk.flip_bit(path, offset, bit);
    const std::vector<uint8_t> block = block_of(path, offset);
    ++rotten_;
    if (const auto started = world_.start(); !started) {
      model_.violation("start", fmt::format("damage in {} stops the whole node: {}", path, started.error().text));
      return false;
    }
    bool closed = false;
    for (size_t i = 0; i < kCells; ++i) {
      if (const auto& error = world_.node()->cell_error(i)) {
        closed = true;
        const std::string name = path.substr(path.rfind('/') + 1);
        const bool names_it =
            error->text.find("wal-") != std::string::npos || error->text.find(name) != std::string::npos;
        if (!names_it || error->text.find("offset") == std::string::npos ||
            path.find(fmt::format("cell-{}", i)) == std::string::npos)
          model_.violation("start", fmt::format("damage at {}:{} is reported as: {}", path, offset, error->text));
      }
    }
    ++(closed ? cells_refused_ : cells_served_);
    rotten_reads_ = 0;
    scan_rotten();
    rot_noticed_ += rotten_reads_;
    clients_down();
    world_.crash();
    if (block_of(path, offset) != block) return false;  // written over meanwhile: nothing to put back
    disk.flip_bit(path, offset, bit);
    return true;
  }

  void scan_rotten() {
    scene_.reads_may_fail = true;
    Scanner scanner(scene_, 1, 10'003);
    scanner.node_up();
    for (const auto* list : {&scene_.streams, &scene_.queues})
      for (const Target& target : *list) {
        if (model_.broken() || world_.node()->engine(target.cell.value).failed()) continue;
        if (!scanner.scan(target, list == &scene_.queues)) ++rotten_reads_;
      }
    scanner.close();
  }

  std::vector<uint8_t> block_of(const std::string& path, uint64_t offset) {
    auto file = world_.disk().open(path, io::OpenMode::kRead);
    if (!file) return {};
    const uint64_t size = *(*file)->size();
    const uint64_t begin = offset / 4096 * 4096;
    if (begin >= size) return {};
    std::vector<uint8_t> bytes(std::min<uint64_t>(4096, size - begin));
    if (!(*file)->read_at(bytes, begin)) return {};
    return bytes;
  }

  RunResult result() {
    RunResult result;
    result.violation = model_.first_violation();
    result.steps = worked_;
    result.digest = world_.loops().digest() * 31 + scene_.answers * 7 + model_.checks();
    const io::SimDisk::Counts& c = world_.disk().counts();
    result.faults = {{"crash", crashes_},
                     {"crash within a job", power_cuts_},
                     {"write lost", c.writes_lost},
                     {"write torn", c.writes_torn},
                     {"write kept unsynced (reordered)", c.writes_kept},
                     {"name undone", c.names_undone},
                     {"read error", c.read_errors},
                     {"short read", c.short_reads},
                     {"write error", c.write_errors},
                     {"sync error", c.sync_errors},
                     {"disk full", c.disk_full},
                     {"bit flipped", c.bits_flipped},
                     {"damaged cell refused", cells_refused_},
                     {"damaged read refused", rot_noticed_},
                     {"clock jump", clock_jumps_},
                     {"start under faults", faulty_starts_},
                     {"mail delayed", world_.loops().event_count(io::SimEvent::kMail)},
                     {"answer overtaken", scene_.overtakings}};
    uint64_t wal_files = 0, checkpoints = 0, extents = 0;
    for (const std::string& path : world_.files()) {
      if (path.ends_with(".plc")) ++checkpoints;
      if (path.ends_with(".plx")) ++extents;
      if (path.ends_with(".plw"))
        wal_files = std::max<uint64_t>(wal_files, std::stoull(path.substr(path.size() - 20, 16), nullptr, 16));
    }
    result.totals = {{"requests", scene_.requests},
                     {"WAL files filled, of the busier cell", wal_files},
                     {"checkpoints left at the end", checkpoints},
                     {"packs and segments left at the end", extents},
                     {"disk reads", c.reads},
                     {"disk writes", c.writes},
                     {"cells stopped, disk full for long", stopped_when_full_},
                     {"answers", scene_.answers},
                     {"checks", model_.checks()},
                     {"full scans", scans_},
                     {"scans of compacted partitions", keyed_->scans()},
                     {"state comparisons", comparisons_},
                     {"redeliveries", scene_.redeliveries},
                     {"retried appends answered", scene_.repeats},
                     {"appends refused", scene_.refused},
                     {"reads failed", scene_.cold_or_failed_reads},
                     {"refused starts", refused_starts_},
                     {"tampered", scene_.tampered}};
    return result;
  }

  const RunOptions options_;
  World world_;
  Model model_;
  Scene scene_;
  const std::shared_ptr<KeyedModel> keyed_ = std::make_shared<KeyedModel>(model_);
  std::vector<std::unique_ptr<Client>> clients_;
  CatalogClient* declarer_ = nullptr;
  std::string queue_text_;
  int64_t clock_off_by_ms_ = 0;
  uint64_t stopped_when_full_ = 0;
  uint64_t worked_ = 0, power_cuts_ = 0;
  uint64_t crashes_ = 0, clock_jumps_ = 0, faulty_starts_ = 0, refused_starts_ = 0, scans_ = 0, comparisons_ = 0;
  uint64_t rotten_ = 0, cells_refused_ = 0, cells_served_ = 0, rotten_reads_ = 0, rot_noticed_ = 0;
};

}  // namespace

RunResult run_seed(const RunOptions& options) { return Run(options).run(); }

}  // namespace polylog::sim
