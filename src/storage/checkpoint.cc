#include "storage/checkpoint.h"

#include <fmt/format.h>

#include <charconv>

#include "base/check.h"
#include "base/crc32c.h"

namespace polylog::storage {
namespace {

constexpr uint32_t kMagic = 0x4B434C50;  // "PLCK"
constexpr uint16_t kVersion = 1;
constexpr std::string_view kPrefix = "checkpoint-";
constexpr std::string_view kSuffix = ".plc";
constexpr size_t kBlockHeadBytes = 8;
constexpr size_t kBlockBytesMax = 1 * base::limits::kGiB;
constexpr size_t kObjectBytesMax = kBlockBytesMax - base::limits::kMiB;  // a block holds it and what came before

std::vector<uint8_t> encode_head(const CheckpointHead& head) {
  base::Writer w;
  w.u32le(kMagic);
  w.u16le(kVersion);
  w.u16le(head.cell.value);
  w.u32le(head.replay_start.epoch.value);
  w.u64le(head.replay_start.position.file_seq);
  w.u64le(head.replay_start.position.offset);
  w.u64le(head.replay_start.next_seq.value);
  w.u64le(head.replay_start.next_lsn.value);
  w.u32le(head.replay_start.previous_crc);
  w.i64le(head.leader_ts.ms);
  w.u32le(base::crc32c(w.view()));
  CHECK(w.size() == kCheckpointHeadBytes, "checkpoint head layout");
  return std::move(w.buffer());
}

base::Result<std::vector<std::string>> checkpoint_names(io::Disk& disk, const std::string& directory) {
  TRY_ASSIGN(const auto names, disk.list(directory));
  std::vector<std::string> found;
  for (const std::string& name : names)
    if (name.starts_with(kPrefix)) found.push_back(name);
  return found;
}

}  // namespace

bool decode_checkpoint_head(View bytes, CheckpointHead& head) {
  base::Reader r(bytes);
  if (r.u32le() != kMagic || r.u16le() != kVersion) return false;
  head.cell = base::CellId(r.u16le());
  head.replay_start.epoch = base::Epoch(r.u32le());
  head.replay_start.position = {r.u64le(), r.u64le()};
  head.replay_start.next_seq = SlotSeq(r.u64le());
  head.replay_start.next_lsn = Lsn(r.u64le());
  head.replay_start.previous_crc = r.u32le();
  head.leader_ts = {r.i64le()};
  return r.u32le() == base::crc32c(bytes.first(kCheckpointHeadBytes - 4)) && r.ok();
}

void encode_object(base::Writer& out, const CheckpointObject& object) {
  out.u16le(object.type);
  out.u8(object.version);
  out.u8(0);
  out.u32le(static_cast<uint32_t>(object.payload.size()));
  out.u64le(object.stamp.value);
  out.bytes(object.payload);
}

struct CheckpointWriter::Shared {
  io::Disk& disk;
  std::string directory;
  std::string final_name;
  std::unique_ptr<io::File> file;
  uint64_t at = 0;
  uint32_t crc = 0;
  base::Result<> result;

  std::string temporary_path() const { return directory + "/" + final_name + ".new"; }

  void write(View bytes) {
    if (!result) return;
    result = file->write_at({&bytes, 1}, at);
    at += bytes.size();
  }
  void begin(const std::vector<uint8_t>& head) {
    auto opened = disk.open(temporary_path(), io::OpenMode::kCreate);
    if (!opened) {
      result = std::unexpected(opened.error());
      return;
    }
    file = std::move(*opened);
    result = file->truncate(0);
    write(head);
  }
  void write_block(View payload) {
    crc = base::crc32c(payload, crc);
    base::Writer head;
    head.u32le(static_cast<uint32_t>(payload.size()));
    head.u32le(crc);
    write(head.view());
    write(payload);
    if (result) result = file->write_out(at - payload.size(), payload.size());
  }
  void publish(uint64_t count) {
    base::Writer end, number;
    number.u64le(count);
    end.u32le(0);
    end.u32le(base::crc32c(number.view(), crc));
    end.u64le(count);
    write(end.view());
    if (result) result = file->sync_data();
    if (result) result = put_in_place();
    if (!result) std::ignore = disk.remove(temporary_path());
  }
  base::Result<> put_in_place() {
    TRY_ASSIGN(const auto older, checkpoint_names(disk, directory));
    TRY(disk.rename(temporary_path(), directory + "/" + final_name));
    TRY(disk.sync_directory(directory));
    for (const std::string& name : older)
      if (name != final_name && name != final_name + ".new") TRY(disk.remove(directory + "/" + name));
    return {};
  }
};

CheckpointWriter::CheckpointWriter(io::Disk& disk, io::Worker& worker, std::string directory,
                                   const CheckpointHead& head)
    : worker_(worker), shared_(new Shared{disk, std::move(directory), {}, nullptr, 0, 0, {}}) {
  shared_->final_name = fmt::format("{}{:016x}{}", kPrefix, head.replay_start.next_seq.value, kSuffix);
  worker_.submit([shared = shared_, bytes = encode_head(head)] { shared->begin(bytes); }, [] {});
}

void CheckpointWriter::add(const CheckpointObject& object) {
  if (object.payload.size() > kObjectBytesMax) {  // nobody could read it back: the older checkpoint stays
    too_large_ = true;
    return;
  }
  encode_object(block_, object);
  ++count_;
  if (block_.size() >= kCheckpointBlockBytes) flush();
}

void CheckpointWriter::flush() {
  if (block_.size() == 0) return;
  bytes_ += block_.size();
  worker_.submit([shared = shared_, payload = std::move(block_.buffer())] { shared->write_block(payload); },
                 [waiting = blocks_waiting_] { --*waiting; });
  ++*blocks_waiting_;
  block_.buffer() = {};
}

void CheckpointWriter::finish(std::function<void(base::Result<>)> done) {
  if (too_large_) return done(base::fail(base::ErrorCode::kTooLarge, "an object is too large for a checkpoint"));
  flush();
  worker_.submit([shared = shared_, count = count_] { shared->publish(count); },
                 [shared = shared_, done = std::move(done)] { done(shared->result); });
}

base::Result<std::string> newest_checkpoint(io::Disk& disk, const std::string& directory, const std::string& before) {
  TRY_ASSIGN(const auto names, checkpoint_names(disk, directory));
  std::string newest;
  for (const std::string& name : names)  // sorted: the last is the newest
    if (name.ends_with(kSuffix) && (before.empty() || name < before)) newest = name;
  return newest;
}

uint64_t checkpoint_number(std::string_view name) {
  uint64_t number = 0;
  if (name.starts_with(kPrefix)) std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), number, 16);
  return number;
}

base::Result<std::optional<CheckpointHead>> load_checkpoint(
    io::Disk& disk, const std::string& directory, base::CellId cell,
    const std::function<base::Result<>(const CheckpointObject&)>& visit) {
  TRY_ASSIGN(const std::string newest, newest_checkpoint(disk, directory));
  if (newest.empty()) return std::nullopt;
  const std::string path = directory + "/" + newest;
  TRY_ASSIGN(const CheckpointHead head, read_checkpoint(disk, path, visit));
  if (head.cell != cell)
    return base::fail(base::ErrorCode::kCorrupt, fmt::format("{} at offset 0: belongs to another cell", path));
  return head;
}

base::Result<CheckpointHead> read_checkpoint(io::Disk& disk, const std::string& path,
                                             const std::function<base::Result<>(const CheckpointObject&)>& visit,
                                             const CheckpointDamage& go_on) {
  const auto damaged = [&](uint64_t offset, std::string_view what) {
    return base::fail(base::ErrorCode::kCorrupt, fmt::format("{} at offset {}: {}", path, offset, what));
  };

  TRY_ASSIGN(auto file, disk.open(path, io::OpenMode::kRead));
  TRY_ASSIGN(const uint64_t size, file->size());
  if (size < kCheckpointHeadBytes) return damaged(0, "shorter than its head");
  std::vector<uint8_t> bytes(kCheckpointHeadBytes);
  TRY(file->read_at(bytes, 0));
  CheckpointHead head;
  if (!decode_checkpoint_head(bytes, head)) return damaged(0, "the head does not verify");

  uint64_t at = kCheckpointHeadBytes, count = 0;
  uint32_t crc = 0;
  bool is_whole = true;
  while (true) {
    if (size - at < kBlockHeadBytes) return damaged(at, "ends early");
    bytes.resize(kBlockHeadBytes);
    TRY(file->read_at(bytes, at));
    base::Reader block_head(bytes);
    const uint32_t length = block_head.u32le();
    const uint32_t expected = block_head.u32le();
    const uint64_t body_bytes = length == 0 ? 8 : length;
    if (length > kBlockBytesMax || size - at - kBlockHeadBytes < body_bytes) return damaged(at, "a block is cut off");
    bytes.resize(body_bytes);
    TRY(file->read_at(bytes, at + kBlockHeadBytes));
    crc = base::crc32c(bytes, crc);
    if (crc != expected) {
      if (length == 0 || !go_on || !go_on(at, "a block does not verify")) return damaged(at, "a block does not verify");
      crc = expected;
      is_whole = false;
      at += kBlockHeadBytes + body_bytes;
      continue;
    }
    base::Reader body(bytes);
    if (length == 0) {
      if (is_whole && body.u64le() != count) return damaged(at, "objects are missing");
      return head;
    }
    while (!body.at_end()) {
      CheckpointObject object;
      object.type = body.u16le();
      object.version = body.u8();
      body.skip(1);
      const uint32_t object_bytes = body.u32le();
      object.stamp = Lsn(body.u64le());
      object.payload = body.bytes(object_bytes);
      if (!body.ok()) return damaged(at, "an object is cut off");
      TRY(visit(object));
      ++count;
    }
    at += kBlockHeadBytes + body_bytes;
  }
}

}  // namespace polylog::storage
