#include "storage/writers.h"

#include <algorithm>

namespace polylog::storage {
namespace {

constexpr int32_t kSequenceMax = INT32_MAX;
constexpr int64_t kIdleMsMax = 24LL * 3600 * 1000;
constexpr size_t kExpiryCountMin = 256;  // so many newcomers pay for one look over all

int32_t following(int32_t sequence) { return sequence == kSequenceMax ? 0 : sequence + 1; }

}  // namespace

base::Result<WriterTable::Verdict> WriterTable::check(const WriterStamp& stamp) const {
  const auto found = writers_.find(stamp.id);
  if (found == writers_.end()) return Verdict{};
  const State& state = found->second;
  if (stamp.epoch < state.epoch)
    return base::fail(base::ErrorCode::kFenced, "writer epoch is older than the known one");
  if (stamp.epoch > state.epoch) {
    if (stamp.first_sequence == 0) return Verdict{};
    return base::fail(base::ErrorCode::kOutOfOrder, "a new writer epoch begins at sequence 0");
  }
  for (size_t i = 0; i < state.count; ++i) {
    const Batch& batch = state.batches[i];
    if (batch.first_sequence == stamp.first_sequence && batch.last_sequence == stamp.last_sequence)
      return Verdict{.repeated = true, .base_offset = batch.base_offset};
  }
  const Batch& newest = state.batches[state.count - 1];
  if (stamp.first_sequence == following(newest.last_sequence)) return Verdict{};
  const Batch& oldest = state.batches[0];
  if (stamp.last_sequence < oldest.first_sequence)
    return base::fail(base::ErrorCode::kDuplicate, "appended before the batches remembered");
  return base::fail(base::ErrorCode::kOutOfOrder, "sequence gap");
}

void WriterTable::note(const WriterStamp& stamp, base::Offset base_offset, base::WallTime now) {
  if (writers_.size() >= kExpiryCountMin && writers_.size() % kExpiryCountMin == 0 && !writers_.contains(stamp.id))
    expire({now.ms - kIdleMsMax});
  State& state = writers_[stamp.id];
  if (state.epoch != stamp.epoch) state.count = 0;
  state.epoch = stamp.epoch;
  state.last_append = now;
  if (state.count == kBatchesKept) {
    std::rotate(state.batches.begin(), state.batches.begin() + 1, state.batches.end());
    --state.count;
  }
  state.batches[state.count++] = {stamp.first_sequence, stamp.last_sequence, base_offset};
}

void WriterTable::expire(base::WallTime idle_since) {
  std::erase_if(writers_, [&](const auto& entry) { return entry.second.last_append < idle_since; });
}

std::vector<KnownWriter> WriterTable::all() const {
  std::vector<KnownWriter> all;
  all.reserve(writers_.size());
  for (const auto& [id, state] : writers_)
    all.push_back({id, state.epoch, state.batches[state.count - 1].last_sequence, state.last_append});
  std::ranges::sort(all, {}, &KnownWriter::id);
  return all;
}

std::vector<base::Offset> WriterTable::last_batches() const {
  std::vector<base::Offset> bases;
  bases.reserve(writers_.size());
  for (const auto& [id, state] : writers_) bases.push_back(state.batches[state.count - 1].base_offset);
  return bases;
}

// count u32 | {id i64, epoch u16, last_append i64, batches u8, {first u32, last u32, base_offset i64}...}...
void WriterTable::save(base::Writer& out) const {
  std::vector<int64_t> ids;
  for (const auto& [id, state] : writers_) ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  out.u32le(static_cast<uint32_t>(ids.size()));
  for (int64_t id : ids) {
    const State& state = writers_.at(id);
    out.i64le(id);
    out.u16le(static_cast<uint16_t>(state.epoch));
    out.i64le(state.last_append.ms);
    out.u8(state.count);
    for (size_t i = 0; i < state.count; ++i) {
      out.u32le(static_cast<uint32_t>(state.batches[i].first_sequence));
      out.u32le(static_cast<uint32_t>(state.batches[i].last_sequence));
      out.i64le(state.batches[i].base_offset.value);
    }
  }
}

bool WriterTable::load(base::Reader& in) {
  writers_.clear();
  for (uint32_t left = in.u32le(); left > 0 && in.ok(); --left) {
    const int64_t id = in.i64le();
    State& state = writers_[id];
    state.epoch = static_cast<int16_t>(in.u16le());
    state.last_append = {in.i64le()};
    state.count = in.u8();
    if (state.count == 0 || state.count > kBatchesKept) return false;
    for (size_t i = 0; i < state.count; ++i) {
      state.batches[i].first_sequence = static_cast<int32_t>(in.u32le());
      state.batches[i].last_sequence = static_cast<int32_t>(in.u32le());
      state.batches[i].base_offset = base::Offset(in.i64le());
    }
  }
  return in.ok();
}

}  // namespace polylog::storage
