#include "storage/wal.h"

#include <algorithm>

#include "base/check.h"
#include "base/crc32c.h"

namespace polylog::storage {
namespace {

// Neighbouring slices of one chunk are written as one piece.
void append_merged(std::vector<base::Slice>& slices, base::Slice slice) {
  if (slice.empty()) return;
  if (!slices.empty() && slices.back().grow_into(slice)) return;
  slices.push_back(std::move(slice));
}

}  // namespace

size_t Wal::part_bytes_for(uint64_t file_bytes) {
  const uint64_t share = file_bytes / base::limits::kWalFileSlotsMin;
  return std::min<uint64_t>(share, base::limits::kSlotPartBytesMax);
}

size_t Wal::slot_bytes_max(uint64_t file_bytes) {
  return kSlotHeaderBytes + 2 * part_bytes_for(file_bytes) + base::limits::kBlockBytes;
}

Wal::Wal(Options options, const WalEnd& end)
    : options_(std::move(options)),
      part_bytes_max_(part_bytes_for(options_.files.file_bytes())),
      epoch_(end.epoch),
      position_(end.position),
      next_seq_(end.next_seq),
      file_first_seq_(end.next_seq),
      next_lsn_(end.next_lsn),
      durable_lsn_(Lsn(end.next_lsn.value - 1)),
      durable_end_(end.position),
      previous_crc_(end.previous_crc),
      worker_(options_.loop.make_worker("wal", io::Priority::kUrgent)) {}

Wal::~Wal() = default;

base::Result<> Wal::open_epoch(base::Epoch epoch) {
  epoch_ = epoch;
  if (!open(1, true)) return base::fail(base::ErrorCode::kDiskFull, "no WAL file to write the opening slot to");
  open_->kind = SlotKind::kOpening;
  close();
  TRY(write_group(closed_));
  ++sync_count_;
  durable_seq_ = closed_.back().seq;
  durable_end_ = position_;
  undurable_bytes_ = 0;
  closed_.clear();
  return {};
}

bool Wal::open(size_t body_bytes, bool may_use_reserve) {
  if (failed_) return false;
  CHECK(body_bytes > 0, "a slot is opened for something, if only a header's block");
  if (body_bytes_max_at(position_) < body_bytes) {
    if (!options_.files.can_advance(may_use_reserve)) return false;
    options_.files.advance(next_seq_.value - file_first_seq_.value);
    file_first_seq_ = next_seq_;
    position_ = {options_.files.current(), 0};
  }
  open_ = std::make_unique<OpenSlot>();
  open_->position = position_;
  open_->first_lsn = next_lsn_;
  open_->body_bytes_max = body_bytes_max_at(position_);
  return true;
}

// What a slot there may hold, padded to a block: the last one of a file takes what is left.
size_t Wal::body_bytes_max_at(const WalPosition& at) const {
  const uint64_t left =
      (options_.files.file_bytes() - at.offset) / base::limits::kBlockBytes * base::limits::kBlockBytes;
  return left <= kSlotHeaderBytes ? 0 : std::min<uint64_t>(left - kSlotHeaderBytes, 2 * part_bytes_max_);
}

size_t Wal::files_for(size_t pieces) const {
  const uint64_t file_bytes = options_.files.file_bytes();
  const size_t slot_bytes = kSlotHeaderBytes + part_bytes_max_ + 2 * base::limits::kBlockBytes;
  // What is left of a file behind its last whole part is not counted on.
  const size_t slots = 1 + (file_bytes - slot_bytes_max(file_bytes)) / slot_bytes;
  return (pieces + slots - 1) / slots;
}

bool Wal::reserve(size_t batch_bytes, size_t mutation_bytes, bool may_use_reserve) {
  CHECK(batch_bytes <= part_bytes_max_ && mutation_bytes <= part_bytes_max_, "longer than a slot takes");
  if (failed_ || (!may_use_reserve && options_.files.only_reserve_left())) return false;
  const size_t body_bytes = batch_bytes + mutation_bytes;
  if (open_ && (open_->batch_bytes + batch_bytes > part_bytes_max_ ||
                open_->mutations.size() + mutation_bytes > part_bytes_max_ ||
                open_->batch_bytes + open_->mutations.size() + body_bytes > open_->body_bytes_max)) {
    close();
  }
  return open_ || open(body_bytes, may_use_reserve);
}

Wal::Added Wal::add_batch(View bytes) {
  CHECK(open_ != nullptr, "add_batch() follows reserve()");
  const uint64_t offset = open_->position.offset + kSlotHeaderBytes + open_->batch_bytes;
  auto [slice, writable] = arena_.copy(bytes);
  open_->batch_bytes += bytes.size();
  append_merged(open_->batches, slice);
  return {.piece = {.at = {open_->position.file_seq, offset}, .bytes = static_cast<uint32_t>(bytes.size())},
          .bytes = std::move(slice),
          .writable = writable};
}

Lsn Wal::add_mutation(const Mutation& mutation) {
  CHECK(open_ != nullptr, "add_mutation() follows reserve()");
  encode_mutation(open_->mutations, mutation);
  ++open_->mutation_count;
  const Lsn lsn = next_lsn_;
  next_lsn_ = next_lsn_.next();
  return lsn;
}

void Wal::close() {
  someone_waits_ = false;
  SlotHeader header;
  header.kind = open_->kind;
  header.cell = options_.cell;
  header.epoch = epoch_;
  header.seq = next_seq_;
  header.lsn = open_->first_lsn;
  header.durable_seq = durable_seq_;
  header.position = open_->position;
  header.nonce = options_.nonce;
  header.leader_ts = options_.clock();
  header.batch_bytes = static_cast<uint32_t>(open_->batch_bytes);
  header.mutation_bytes = static_cast<uint32_t>(open_->mutations.size());
  header.mutation_count = open_->mutation_count;
  header.previous_crc = previous_crc_;
  uint32_t crc = 0;
  for (const base::Slice& slice : open_->batches) crc = base::crc32c(slice.view(), crc);
  header.body_crc = base::crc32c(open_->mutations.view(), crc);

  ClosedSlot slot;
  previous_crc_ = encode_slot_header(header, slot.header);
  slot.file = options_.files.file(open_->position.file_seq);
  slot.position = open_->position;
  slot.seq = next_seq_;
  slot.last_lsn = Lsn(next_lsn_.value - 1);
  slot.batches = std::move(open_->batches);
  slot.disk_bytes = header.disk_bytes();
  mutation_bytes_total_ += open_->mutations.size();
  open_->mutations.zeros(slot.disk_bytes - kSlotHeaderBytes - header.body_bytes());
  slot.mutations_and_padding = std::move(open_->mutations.buffer());
  position_.offset += slot.disk_bytes;
  next_seq_ = next_seq_.next();
  undurable_bytes_ += slot.disk_bytes;
  written_bytes_ += slot.disk_bytes;
  closed_.push_back(std::move(slot));
  open_.reset();
}

void Wal::seal() {
  someone_waits_ = open_ != nullptr;
  send_when_idle();
}

// While a sync runs, the open slot goes on collecting: that is the group commit.
void Wal::send_when_idle() {
  if (failed_ || in_flight_ > 0) return;
  if (open_ && someone_waits_) close();
  submit();
}

void Wal::write_witness() {
  CHECK(idle(), "a witness follows silence");
  if (!open(1, false)) return;
  open_->kind = SlotKind::kWitness;
  seal();
}

WalEnd Wal::cut_here() {
  if (open_) close();
  return {.position = position_,
          .next_seq = next_seq_,
          .next_lsn = next_lsn_,
          .previous_crc = previous_crc_,
          .epoch = epoch_};
}

void Wal::submit() {
  if (closed_.empty() || failed_) return;
  auto group = std::make_shared<Group>(std::move(closed_));
  closed_.clear();
  in_flight_ = group->size();
  const ClosedSlot& last = group->back();
  GroupEnd end{.seq = last.seq,
               .lsn = last.last_lsn,
               .position = {last.position.file_seq, last.position.offset + last.disk_bytes},
               .slots = group->size(),
               .sent_at = options_.loop.now()};
  for (const ClosedSlot& slot : *group) end.bytes += slot.disk_bytes;
  auto result = std::make_shared<base::Result<>>();
  worker_->submit([group, result] { *result = write_group(*group); }, [this, result, end] { written(*result, end); });
}

base::Result<> Wal::write_group(const Group& group) {
  // Slots lie one behind the other: one write a run within a file, one sync a file.
  std::vector<View> pieces;
  for (size_t first = 0; first < group.size();) {
    const auto& file = group[first].file;
    const uint64_t offset = group[first].position.offset;
    pieces.clear();
    size_t next = first;
    for (; next < group.size() && group[next].file == file; ++next) {
      pieces.push_back(group[next].header);
      for (const base::Slice& slice : group[next].batches) pieces.push_back(slice.view());
      pieces.push_back(group[next].mutations_and_padding);
    }
    TRY(file->write_at(pieces, offset));
    TRY(file->sync_data());
    first = next;
  }
  return {};
}

void Wal::written(const base::Result<>& result, const GroupEnd& end) {
  CHECK(in_flight_ == end.slots, "one group is in flight at a time");
  in_flight_ = 0;
  ++sync_count_;
  if (failed_) return;
  if (!result) {
    failed_ = true;
    options_.on_failed(result.error());
    return;
  }
  if (options_.sync_time != nullptr) options_.sync_time->record_ns((options_.loop.now() - end.sent_at).count());
  undurable_bytes_ -= end.bytes;
  durable_seq_ = end.seq;
  durable_lsn_ = end.lsn;
  durable_end_ = end.position;
  send_when_idle();  // first the next group, then the answers: the disk does not wait for them
  options_.on_durable(end.lsn);
}

}  // namespace polylog::storage
