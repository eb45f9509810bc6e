#include "storage/inspect/describe.h"

#include <fmt/format.h>

#include "storage/extent_file.h"
#include "storage/replay.h"
#include "storage/wal_files.h"

namespace polylog::storage {
namespace {

const char* name_of(SlotKind kind) {
  switch (kind) {
    case SlotKind::kData: return "data";
    case SlotKind::kOpening: return "opening";
    case SlotKind::kWitness: return "witness";
  }
  return "";
}

std::string text_of(const Piece& piece) {
  const std::string name = in_pack(piece.at) ? to_file_name({ExtentKind::kPack, piece.at.file_seq & ~kPackBit})
                                             : WalFiles::name_of(piece.at.file_seq);
  return fmt::format("{}:{}+{}", name, piece.at.offset, piece.bytes);
}

std::string text_of(const AppendMutation& m) {
  std::string text =
      fmt::format("append {} offsets {}..{} epoch {} encoding {} flags {} crc {:08x} appended {} newest {}",
                  describe(m.partition), m.base_offset.value, m.base_offset.value + m.count - 1, m.epoch.value,
                  m.encoding, m.flags, m.crc, m.append_ts.ms, m.max_ts.ms);
  for (const Piece& piece : m.pieces) text += " at " + text_of(piece);
  if (m.writer)
    text += fmt::format(" writer {} epoch {} sequence {}..{}", m.writer->id, m.writer->epoch, m.writer->first_sequence,
                        m.writer->last_sequence);
  return text;
}

std::string text_of(const MoveMutation& m) {
  std::string text = "move to " + to_file_name({ExtentKind::kPack, m.pack});
  for (const MoveMutation::Run& run : m.runs)
    text += fmt::format(", {} {} batches from {} to position {}", describe(run.partition), run.batch_count,
                        run.base_offset.value, run.position);
  return text;
}

template <typename Decoded, typename Describe>
std::string shown(const base::Result<Decoded>& decoded, Describe describe) {
  return decoded ? describe(*decoded) : "does not decode: " + decoded.error().text;
}

}  // namespace

std::string describe(const base::PartitionKey& key) { return fmt::format("{}/{}", key.stream.to_string(), key.index); }

std::string describe(const SlotHeader& h) {
  return fmt::format("{} seq {} lsn {} epoch {} durable {} cell {} time {} batches {} B, {} mutations {} B",
                     name_of(h.kind), h.seq.value, h.lsn.value, h.epoch.value, h.durable_seq.value, h.cell.value,
                     h.leader_ts.ms, h.batch_bytes, h.mutation_count, h.mutation_bytes);
}

std::string describe(const BatchRef& b) {
  return fmt::format("offsets {}..{} position {} {} B epoch {} encoding {} flags {} crc {:08x} appended {} newest {}",
                     b.base_offset.value, b.base_offset.value + b.count - 1, b.at.offset, b.bytes, b.epoch.value,
                     b.encoding, b.flags, b.crc, b.append_ts.ms, b.max_ts.ms);
}

std::string describe(const SegmentRef& s) {
  return fmt::format("{} [{}, {}) {} batches {} B newest {}", to_file_name({ExtentKind::kSegment, s.extent}),
                     s.base_offset.value, s.end_offset.value, s.batch_count, s.data_bytes, s.max_ts.ms);
}

std::string describe_mutation(const Mutation& mutation) {
  switch (mutation.type) {
    case MutationType::kAppend:
      return shown(decode_append(mutation.payload), [](const AppendMutation& m) { return text_of(m); });
    case MutationType::kTrim:
      return shown(decode_trim(mutation.payload), [](const TrimMutation& m) {
        return fmt::format("trim {} below {}", describe(m.partition), m.log_start.value);
      });
    case MutationType::kDrop:
      return shown(decode_drop(mutation.payload),
                   [](const DropMutation& m) { return "drop " + describe(m.partition); });
    case MutationType::kSegment:
      return shown(decode_segment(mutation.payload), [](const SegmentMutation& m) {
        return fmt::format("segment {} {}", describe(m.partition), describe(m.segment));
      });
    case MutationType::kMove:
      return shown(decode_move(mutation.payload), [](const MoveMutation& m) { return text_of(m); });
    case MutationType::kFirstOfEngine: break;
  }
  return fmt::format("unknown type {}, {} B", static_cast<int>(mutation.type), mutation.payload.size());
}

namespace {

std::string text_of_batch(const BatchRef& batch, const std::vector<Piece>& pieces) {
  std::string text =
      fmt::format("; offsets {}..{}", batch.base_offset.value, batch.base_offset.value + batch.count - 1);
  for (const Piece& piece : pieces) text += " at " + text_of(piece);
  return text;
}

std::string describe_batches(const CheckpointObject& object) {
  base::Reader in(object.payload);
  std::string text = "batches of " + describe(read_key(in));
  const bool decodes = Partition::read_batches(in, [&](const BatchRef& batch, const std::vector<Piece>& pieces) {
    text += text_of_batch(batch, pieces);
    return true;
  });
  return decodes ? text : "does not decode";
}

}  // namespace

std::string describe_partition(const CheckpointObject& object) {
  if (object.type == kPartitionBatchesObject) return describe_batches(object);
  Partitions partitions;
  if (const auto restored = restore_partition(partitions, object); !restored)
    return "does not decode: " + restored.error().text;
  const Partition& partition = *partitions.begin()->second;
  std::string text = partition.describe();
  for (const SegmentRef& segment : partition.segments()) text += "; segment " + describe(segment);
  for (const BatchRef& batch : partition.batches()) text += text_of_batch(batch, partition.pieces_of(batch));
  return text;
}

}  // namespace polylog::storage
