#include "storage/compactor.h"

#include <algorithm>
#include <unordered_set>

#include "base/crc32c.h"

namespace polylog::storage {
namespace {

constexpr size_t kKeyPartsMax = 64;  // each reads and writes the partition once
constexpr uint64_t kStepBytesMin = 16 * base::limits::kKiB, kStepBytesMax = 4 * base::limits::kMiB;
constexpr uint64_t kStepsPerSecond = 32;        // at least, where the pace is slow: others wait for a step
constexpr uint64_t kGroupBatchesMax = 262'144;  // of one new segment: 14 MiB of index while it is written
constexpr auto kPackerPause = std::chrono::milliseconds(10);

}  // namespace

// What one step reads: from a segment, or some batches behind the segments.
struct Compactor::Step {
  std::optional<SegmentReader::Source> source;
  SegmentReader::Wish wish;
  std::shared_ptr<BatchLoad> load;
  Offset from, end;  // where reading goes on, when this is empty
  std::vector<StoredBatch> batches;
  uint64_t bytes = 0;
  base::Result<> result;

  base::Result<> read(SegmentReader& reader) {
    if (source) {
      TRY_ASSIGN(batches, reader.read(*source, wish));
    } else {
      TRY(load->run());
      batches = std::move(load->batches());
    }
    for (const StoredBatch& batch : batches) bytes += batch.ref.bytes;
    return {};
  }
  Offset next() const { return batches.empty() ? end : batches.back().ref.end_offset(); }
};

// What one new segment takes the place of: some segments, then some batches behind them.
struct Compactor::Group {
  Offset base, end;
  uint64_t id = 0;
  size_t segments = 0, batches = 0;
};

// The parts below `core` belong to the core between steps, and to the worker while a step runs.
struct Compactor::Pass {
  Pass(Plan wanted, Done when_done, const Options& options)
      : plan(std::move(wanted)),
        done(std::move(when_done)),
        key_bytes_max(options.key_bytes_max),
        secret(options.secret) {}

  Plan plan;
  const Done done;
  const size_t key_bytes_max;
  const base::SipKey secret;
  // core
  bool mapping = true;
  Offset next;  // what is read next
  std::optional<Group> group;
  std::unordered_set<int64_t> last_of_writers;  // base offsets
  // steps
  std::optional<KeyOffsets> keys;  // made and let go on the worker: it may be large
  bool full = false;
  KeyPart part;             // of the keys, that is judged now
  bool maps_again = false;  // for another part, from the beginning
  SegmentReader reader;
  std::unique_ptr<SegmentWriter> writer;
  bool changed = false;  // something in this group
  // A batch whose keys nobody counts lies below: marks that delete what it may hold stay, whatever their date.
  bool is_opaque_below = false;
  Outcome outcome;

  // Of another format, or so many records that the parts of their keys would take hours: left as it is, always. Its count
  // never changes, so every pass finds the same.
  bool is_opaque(const BatchRef& ref) const {
    return ref.count > kKeyPartsMax * KeyOffsets::keys_max_of(key_bytes_max) || plan.format_of(ref.encoding) == nullptr;
  }
  base::Result<> map(Step& step);
  void take_apart(const BatchRef& ref);
  bool begin_next_part();
  base::Result<> rewrite(Step& step);
  base::Result<> rewrite(const StoredBatch& batch);
  void note_deletes(std::optional<base::WallTime> until) {
    if (until) outcome.deletes_until = std::max(outcome.deletes_until.value_or(*until), *until);
  }
};

// --- on the worker

base::Result<> Compactor::Pass::map(Step& step) {
  if (!keys || keys->part() != part)
    keys.emplace(key_bytes_max, static_cast<size_t>((plan.end - plan.dirty).value), secret, part);
  TRY(step.read(reader));
  for (const StoredBatch& batch : step.batches) {
    if (is_opaque(batch.ref)) continue;
    const bool is_first = keys->size() == 0;
    plan.format_of(batch.ref.encoding)->each_key(batch.bytes.view(), [&](Offset offset, base::View key) {
      if (!full && offset >= plan.dirty) full = !keys->put(key, offset);
    });
    if (!full) continue;
    if (is_first || part.count > 1) {
      take_apart(batch.ref);
    } else {
      plan.end = batch.ref.base_offset;  // what was put of this batch may stay: it is what stands there
    }
    break;
  }
  return {};
}

// The keys of this batch alone are more than fit.
void Compactor::Pass::take_apart(const BatchRef& ref) {
  const size_t parts_at_least = ref.count / keys->keys_max() + 2;
  part = {.index = 0, .count = std::max(parts_at_least, 2 * part.count)};  // more, where chance made them uneven
  plan.end = std::min(plan.end, ref.end_offset());
  full = false;
  maps_again = true;
}

base::Result<> Compactor::Pass::rewrite(Step& step) {
  TRY(step.read(reader));
  for (const StoredBatch& batch : step.batches) TRY(rewrite(batch));
  return {};
}

base::Result<> Compactor::Pass::rewrite(const StoredBatch& batch) {
  const base::View bytes = batch.bytes.view();
  if (batch.ref.base_offset >= plan.end) return writer->append(batch.ref, bytes);
  if (is_opaque(batch.ref)) {
    is_opaque_below = true;
    return writer->append(batch.ref, bytes);
  }
  const bool knows_all_below = !is_opaque_below && part.is_last();
  CompactFormat::Outcome done =
      plan.format_of(batch.ref.encoding)
          ->rewrite(bytes, {.is_latest =
                                [this](Offset offset, base::View key) {
                                  const auto last = keys ? keys->find(key) : std::nullopt;
                                  return !last || offset >= *last;
                                },
                            .now = plan.now,
                            .delete_retention_ms = plan.delete_retention_ms,
                            .may_date_deletes = knows_all_below && batch.ref.end_offset() > plan.dirty,
                            .may_remove_deletes = knows_all_below,
                            .keep_empty = batch.ref.end_offset() == group->end ||
                                          last_of_writers.contains(batch.ref.base_offset.value)});
  outcome.counts.records_removed += done.records_removed;
  if (knows_all_below) note_deletes(done.deletes_until);
  changed = changed || done.what != CompactFormat::What::kAsItWas;
  switch (done.what) {
    case CompactFormat::What::kGone: return {};
    case CompactFormat::What::kAsItWas: return writer->append(batch.ref, bytes);
    case CompactFormat::What::kRewritten: break;
  }
  BatchRef ref = batch.ref;
  ref.bytes = static_cast<uint32_t>(done.bytes.size());
  ref.crc = base::crc32c(done.bytes);
  ref.max_ts = done.max_ts;
  return writer->append(ref, done.bytes);
}

// --- on the core

bool Compactor::Pass::begin_next_part() {
  if (part.is_last()) return false;
  ++part.index;
  is_opaque_below = false;
  mapping = maps_again = true;
  return true;
}

Compactor::Compactor(Options options, Extents& extents, CompactHost& host)
    : options_(std::move(options)),
      extents_(extents),
      host_(host),
      worker_(options_.loop.make_worker("compact", io::Priority::kBackground)) {}

Compactor::~Compactor() = default;

void Compactor::run(Plan plan, Done done) {
  auto pass = std::make_shared<Pass>(std::move(plan), std::move(done), options_);
  pass->next = pass->plan.dirty;
  if (pass_ != nullptr) return waiting_.push_back(std::move(pass));
  pass_ = std::move(pass);
  next_step();
}

// Between two steps, when nothing is on the worker.
void Compactor::take_turns() {
  if (waiting_.empty()) return;
  if (pass_ != nullptr) waiting_.push_back(std::move(pass_));
  pass_ = std::move(waiting_.front());
  waiting_.pop_front();
}

void Compactor::next_step() {
  take_turns();
  Partition* partition = host_.find(pass_->plan.partition);
  if (stopped_ || partition == nullptr) return end_pass(base::fail(base::ErrorCode::kNotFound, "dropped meanwhile"));
  if (std::exchange(pass_->maps_again, false)) pass_->next = pass_->plan.dirty;
  pass_->next = std::max(pass_->next, partition->start());
  if (pass_->mapping && (pass_->full || pass_->next >= pass_->plan.end)) {
    pass_->mapping = false;
    pass_->next = partition->start();
    for (const Offset base : partition->writers().last_batches()) pass_->last_of_writers.insert(base.value);
  }
  pass_->mapping ? map_step(*partition) : rewrite_step(*partition);
}

// What lies at `from` and behind it, up to `end`.
base::Result<std::shared_ptr<Compactor::Step>> Compactor::make_step(const Partition& partition, Offset from,
                                                                    Offset end) const {
  const size_t bytes_max = std::clamp(options_.bytes_per_second / kStepsPerSecond, kStepBytesMin, kStepBytesMax);
  auto step = std::make_shared<Step>();
  step->from = from;
  step->end = end;
  if (const SegmentRef* segment = partition.segment_at(from)) {
    step->source = host_.source_of(*segment);
    step->wish = {.from = from, .end = end, .bytes_max = bytes_max, .span_encoding = {}};
    step->end = std::min(end, segment->end_offset);
    return step;
  }
  std::vector<StoredBatch> batches;
  partition.read(from, end, bytes_max, batches);
  if (batches.empty()) return base::fail(base::ErrorCode::kConflict, "nothing lies where something lay");
  step->load = host_.make_load(partition, std::move(batches));
  return step;
}

void Compactor::work(std::shared_ptr<Step> step, std::function<base::Result<>(Pass&, Step&)> job) {
  worker_->submit([pass = pass_, step, job = std::move(job)] { step->result = job(*pass, *step); },
                  [this, step] {
                    if (step->load != nullptr) step->load->unpin();
                    if (!step->result) return end_pass(std::unexpected(step->result.error()));
                    pass_->outcome.counts.bytes_read += step->bytes;
                    pass_->next = step->next();
                    const auto pause = std::chrono::nanoseconds(step->bytes * 1'000'000'000 /
                                                                std::max<uint64_t>(options_.bytes_per_second, 1));
                    options_.loop.call_at(options_.loop.now() + pause, [this] { next_step(); });
                  });
}

void Compactor::map_step(Partition& partition) {
  auto step = make_step(partition, pass_->next, pass_->plan.end);
  if (!step) return end_pass(std::unexpected(step.error()));
  work(std::move(*step), [](Pass& pass, Step& read) { return pass.map(read); });
}

// Segments, as many as one new segment takes, then batches behind them. Nothing: all is done.
std::optional<Compactor::Group> Compactor::choose_group(const Partition& partition) const {
  const Plan& plan = pass_->plan;
  Group group{.base = pass_->next, .end = pass_->next};
  uint64_t bytes = 0, batches = 0;
  std::optional<base::WallTime> oldest;
  const auto takes = [&](Offset base, uint64_t more, uint64_t more_batches, base::WallTime append_ts) {
    if (base >= plan.end) return false;
    if (!oldest) oldest = append_ts;
    const bool fits = bytes + more <= plan.segment_bytes_max && batches + more_batches <= kGroupBatchesMax &&
                      append_ts.ms - oldest->ms <= plan.segment_span_ms;
    return bytes == 0 || fits;
  };
  const auto& segments = partition.segments();
  auto at = std::ranges::find_if(segments, [&](const SegmentRef& s) { return s.end_offset > pass_->next; });
  for (; at != segments.end() && takes(at->base_offset, at->data_bytes, at->batch_count, at->append_ts);
       ++at, ++group.segments) {
    if (group.segments == 0) group.base = at->base_offset;
    group.end = at->end_offset;
    bytes += at->data_bytes;
    batches += at->batch_count;
  }
  if (at == segments.end()) {
    for (const BatchRef& ref : partition.batches()) {
      if (ref.end_offset() <= group.end) continue;
      if (ref.end_offset() > plan.end || !takes(ref.base_offset, ref.bytes, 1, ref.append_ts)) break;
      if (group.segments + group.batches == 0) group.base = ref.base_offset;
      ++group.batches;
      group.end = ref.end_offset();
      bytes += ref.bytes;
      ++batches;
    }
  }
  return group.segments + group.batches == 0 ? std::nullopt : std::optional(group);
}

// False: not now. The packer is about to put some of the batches into a segment; that is taken when it is there.
bool Compactor::begin_group(Partition& partition) {
  if (pass_->group->batches > 0 && host_.makes_segment_of(partition.key())) {
    pass_->group.reset();
    options_.loop.call_at(options_.loop.now() + kPackerPause, [this] { next_step(); });
    return false;
  }
  pass_->group->id = extents_.take_id();
  partition.hold_batches(pass_->group->batches > 0);
  return true;
}

void Compactor::end_group(Pass& pass) {
  Partition* partition = host_.find(pass.plan.partition);
  if (pass.group && partition != nullptr) partition->hold_batches(false);
  pass.group.reset();
}

void Compactor::rewrite_step(Partition& partition) {
  if (pass_->group && pass_->next >= pass_->group->end) return publish();
  const bool begins = !pass_->group;
  if (begins) {
    pass_->group = choose_group(partition);
    if (!pass_->group) {
      if (pass_->begin_next_part()) return next_step();
      pass_->outcome.clean = pass_->plan.end;
      return end_pass(std::move(pass_->outcome));
    }
    if (!begin_group(partition)) return;
  }
  auto step = make_step(partition, pass_->next, pass_->group->end);
  if (!step) return end_pass(std::unexpected(step.error()));
  work(std::move(*step),
       [begins, &disk = options_.disk, directory = options_.directory, cell = options_.cell](
           Pass& pass, Step& read) -> base::Result<> {
         if (begins) {
           pass.changed = false;
           TRY_ASSIGN(pass.writer, SegmentWriter::create(disk, directory, cell, pass.group->id));
         }
         return pass.rewrite(read);
       });
}

void Compactor::publish() {
  auto finished = std::make_shared<base::Result<std::optional<SegmentWriter::Finished>>>();
  // A segment from which nothing went stays what it is.
  const bool needed = pass_->changed || pass_->group->segments != 1 || pass_->group->batches != 0;
  worker_->submit(
      [pass = pass_, finished, needed] {
        if (needed && pass->writer != nullptr && pass->writer->batch_count() > 0) {
          auto segment = pass->writer->finish(pass->group->base, pass->group->end);
          *finished = segment ? base::Result<std::optional<SegmentWriter::Finished>>(std::move(*segment))
                              : std::unexpected(segment.error());
        }
        pass->writer.reset();
      },
      [this, finished] {
        if (!*finished) return end_pass(std::unexpected(finished->error()));
        if (**finished) return finish_group(std::move(***finished));
        end_group(*pass_);
        next_step();
      });
}

namespace {

// Whether the segment can take the place of what lies in its range: nothing reaches over its ends.
bool fits_into(const Partition& partition, const SegmentRef& segment) {
  for (const SegmentRef& old : partition.segments()) {
    const bool within = old.base_offset >= segment.base_offset && old.end_offset <= segment.end_offset;
    const bool apart = old.end_offset <= segment.base_offset || old.base_offset >= segment.end_offset;
    if (!within && !apart) return false;
  }
  return partition.start() < segment.end_offset;
}

}  // namespace

void Compactor::finish_group(SegmentWriter::Finished finished) {
  extents_.add_segment(finished.ref.extent, std::move(finished.file));
  Partition* partition = host_.find(pass_->plan.partition);
  if (stopped_ || partition == nullptr) return end_pass(base::fail(base::ErrorCode::kNotFound, "dropped meanwhile"));
  if (!host_.can_log_moves()) return end_pass(base::fail(base::ErrorCode::kDiskFull, "the log has no room for it"));
  if (fits_into(*partition, finished.ref)) {
    pass_->outcome.counts.bytes_written += finished.ref.data_bytes;
    host_.log_segment(*partition, finished.ref);
  } else if (partition->start() < finished.ref.end_offset) {
    return end_pass(base::fail(base::ErrorCode::kConflict, "its segments changed meanwhile"));
  }
  pass_->next = finished.ref.end_offset;
  end_group(*pass_);
  next_step();
}

// What was not published is removed on the worker: that may take its time.
void Compactor::end_pass(base::Result<Outcome> outcome) {
  const auto pass = std::exchange(pass_, nullptr);
  if (!stopped_) end_group(*pass);
  worker_->submit(
      [pass] {
        pass->writer.reset();
        pass->keys.reset();
      },
      [] {});
  if (!waiting_.empty()) next_step();
  if (!stopped_) pass->done(std::move(outcome));
}

}  // namespace polylog::storage
