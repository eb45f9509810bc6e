#include "tests/sim/records.h"

#include "base/wire.h"

namespace polylog::sim {
namespace {

constexpr size_t kHeadBytes = 12;
constexpr size_t kRecordHeadBytes = 12;

uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

size_t filler_bytes(uint64_t operation, uint32_t index) {
  const uint64_t hash = mix(operation * 31 + index);
  return (operation & kBigOperation) != 0 ? 8'000 + hash % 8'000 : hash % 200;
}

uint8_t filler_at(uint64_t seed, size_t at) { return static_cast<uint8_t>(seed + at * 7); }

}  // namespace

std::vector<uint8_t> make_batch(Operation operation) {
  base::Writer out;
  out.zeros(kHeadBytes);
  for (uint32_t index = 0; index < operation.count; ++index) {
    const size_t filler = filler_bytes(operation.id, index);
    out.u32le(static_cast<uint32_t>(kRecordHeadBytes + filler));
    out.u64le(operation.id);
    out.u32le(index);
    const uint64_t seed = mix(operation.id + index);
    const size_t at = out.size();
    out.zeros(filler);
    for (size_t i = 0; i < filler; ++i) out.buffer()[at + i] = filler_at(seed, i);
  }
  return std::move(out.buffer());
}

ParsedBatch parse_batch(base::View bytes) {
  base::Reader in(bytes);
  ParsedBatch batch;
  batch.placed_base = in.i64le();
  in.u32le();
  for (; in.ok() && !in.at_end(); ++batch.count) {
    const uint32_t length = in.u32le();
    base::Reader record(in.bytes(length));
    const uint64_t operation = record.u64le();
    const uint32_t index = record.u32le();
    if (batch.count == 0) batch.operation = operation;
    if (!record.ok() || operation != batch.operation || index != batch.count) {
      batch.damage = "record " + std::to_string(batch.count) + " is not the one that was sent";
      return batch;
    }
    const base::View filler = record.rest();
    const uint64_t seed = mix(operation + index);
    bool same = filler.size() == filler_bytes(operation, index);
    for (size_t i = 0; same && i < filler.size(); ++i) same = filler[i] == filler_at(seed, i);
    if (!same) batch.damage = "record " + std::to_string(index) + " differs from what was sent";
  }
  if (!in.ok() || batch.count == 0) batch.damage = "the batch is cut short";
  return batch;
}

void SimEncoding::place(base::MutView head, base::Offset base, base::Epoch epoch) const {
  base::Writer patch;
  patch.i64le(base.value + (misplace_ ? 1 : 0));
  patch.u32le(epoch.value);
  std::memcpy(head.data(), patch.view().data(), kHeadBytes);
}

base::Result<> SimEncoding::to_hub(base::View batch, base::Offset base, const Visit& visit) const {
  base::Reader in(batch);
  in.skip(kHeadBytes);
  while (in.ok() && !in.at_end()) {
    broker::HubMessage message;
    message.body = std::string(in.text(in.u32le()));
    visit(base, std::move(message));
    base = base.next();
  }
  return {};
}

broker::Encoding::Built SimEncoding::from_hub(std::span<const broker::HubMessage> messages, base::WallTime now) const {
  base::Writer out;
  out.zeros(kHeadBytes);
  for (const broker::HubMessage& message : messages) {
    out.u32le(static_cast<uint32_t>(message.body->size()));
    out.text(*message.body);
  }
  return {.bytes = std::move(out.buffer()), .max_ts = now};
}

}  // namespace polylog::sim
