#include "storage/mutation.h"

#include "base/check.h"

namespace polylog::storage {
namespace {

constexpr uint8_t kWriterTag = 1;
constexpr uint8_t kWriterBytes = 18;

base::Result<> malformed(const char* what) { return base::fail(base::ErrorCode::kCorrupt, what); }

}  // namespace

void encode_mutation(base::Writer& out, const Mutation& mutation) {
  out.u16le(static_cast<uint16_t>(mutation.type));
  out.u8(mutation.version);
  out.u8(0);
  out.u32le(static_cast<uint32_t>(mutation.payload.size()));
  out.bytes(mutation.payload);
}

bool next_mutation(base::Reader& reader, Mutation& mutation) {
  if (reader.at_end()) return false;
  mutation.type = static_cast<MutationType>(reader.u16le());
  mutation.version = reader.u8();
  reader.skip(1);
  const uint32_t length = reader.u32le();
  mutation.payload = reader.bytes(length);
  return reader.ok();
}

void write_key(base::Writer& out, const base::PartitionKey& key) {
  out.bytes(key.stream.bytes);
  out.u32le(key.index);
}

base::PartitionKey read_key(base::Reader& in) {
  base::PartitionKey key;
  const View id = in.bytes(16);
  if (id.size() == 16) std::memcpy(key.stream.bytes.data(), id.data(), 16);
  key.index = in.u32le();
  return key;
}

void encode(base::Writer& out, const AppendMutation& m) {
  write_key(out, m.partition);
  out.i64le(m.base_offset.value);
  out.u32le(m.count);
  out.u32le(m.epoch.value);
  out.u32le(m.crc);
  out.u8(m.encoding);
  out.u8(m.flags);
  out.i64le(m.append_ts.ms);
  out.i64le(m.max_ts.ms);
  CHECK(!m.pieces.empty() && m.pieces.size() <= kPiecesPerBatchMax, "a batch has 1..255 pieces");
  out.u8(static_cast<uint8_t>(m.pieces.size()));
  for (const Piece& piece : m.pieces) {
    out.u64le(piece.at.file_seq);
    out.u64le(piece.at.offset);
    out.u32le(piece.bytes);
  }
  if (m.writer) {
    out.u8(kWriterTag);
    out.u8(kWriterBytes);
    out.i64le(m.writer->id);
    out.u16le(static_cast<uint16_t>(m.writer->epoch));
    out.u32le(static_cast<uint32_t>(m.writer->first_sequence));
    out.u32le(static_cast<uint32_t>(m.writer->last_sequence));
  }
}

void encode(base::Writer& out, const TrimMutation& m) {
  write_key(out, m.partition);
  out.i64le(m.log_start.value);
}

void encode(base::Writer& out, const DropMutation& m) { write_key(out, m.partition); }

void write_segment(base::Writer& out, const SegmentRef& segment) {
  out.u64le(segment.extent);
  out.i64le(segment.base_offset.value);
  out.i64le(segment.end_offset.value);
  out.u64le(segment.data_bytes);
  out.u32le(segment.batch_count);
  out.i64le(segment.max_ts.ms);
  out.i64le(segment.append_ts.ms);
  out.u64le(segment.fences_at);
  out.u32le(segment.fence_count);
  out.u32le(segment.fences_crc);
}

SegmentRef read_segment(base::Reader& in) {
  SegmentRef segment;
  segment.extent = in.u64le();
  segment.base_offset = Offset(in.i64le());
  segment.end_offset = Offset(in.i64le());
  segment.data_bytes = in.u64le();
  segment.batch_count = in.u32le();
  segment.max_ts = {in.i64le()};
  segment.append_ts = {in.i64le()};
  segment.fences_at = in.u64le();
  segment.fence_count = in.u32le();
  segment.fences_crc = in.u32le();
  return segment;
}

void encode(base::Writer& out, const SegmentMutation& m) {
  write_key(out, m.partition);
  write_segment(out, m.segment);
}

void encode(base::Writer& out, const MoveMutation& m) {
  out.u64le(m.pack);
  out.u32le(static_cast<uint32_t>(m.runs.size()));
  for (const MoveMutation::Run& run : m.runs) {
    write_key(out, run.partition);
    out.i64le(run.base_offset.value);
    out.u32le(run.batch_count);
    out.u64le(run.position);
  }
}

base::Result<AppendMutation> decode_append(View payload) {
  base::Reader in(payload);
  AppendMutation m;
  m.partition = read_key(in);
  m.base_offset = base::Offset(in.i64le());
  m.count = in.u32le();
  m.epoch = base::Epoch(in.u32le());
  m.crc = in.u32le();
  m.encoding = in.u8();
  m.flags = in.u8();
  m.append_ts = {in.i64le()};
  m.max_ts = {in.i64le()};
  m.pieces.resize(in.u8());
  for (Piece& piece : m.pieces) piece = {{in.u64le(), in.u64le()}, in.u32le()};
  while (in.ok() && !in.at_end()) {
    const uint8_t tag = in.u8();
    base::Reader field(in.bytes(in.u8()));
    if (tag != kWriterTag) TRY(malformed("append mutation with an unknown field"));
    WriterStamp writer;
    writer.id = field.i64le();
    writer.epoch = static_cast<int16_t>(field.u16le());
    writer.first_sequence = static_cast<int32_t>(field.u32le());
    writer.last_sequence = static_cast<int32_t>(field.u32le());
    if (!field.ok()) TRY(malformed("append mutation with a short writer field"));
    m.writer = writer;
  }
  if (!in.ok() || m.pieces.empty() || m.count == 0) TRY(malformed("append mutation"));
  return m;
}

base::Result<TrimMutation> decode_trim(View payload) {
  base::Reader in(payload);
  TrimMutation m;
  m.partition = read_key(in);
  m.log_start = base::Offset(in.i64le());
  if (!in.ok() || !in.at_end()) TRY(malformed("trim mutation"));
  return m;
}

base::Result<DropMutation> decode_drop(View payload) {
  base::Reader in(payload);
  DropMutation m;
  m.partition = read_key(in);
  if (!in.ok() || !in.at_end()) TRY(malformed("drop mutation"));
  return m;
}

base::Result<SegmentMutation> decode_segment(View payload) {
  base::Reader in(payload);
  SegmentMutation m;
  m.partition = read_key(in);
  m.segment = read_segment(in);
  if (!in.ok() || !in.at_end() || m.segment.end_offset <= m.segment.base_offset) TRY(malformed("segment mutation"));
  return m;
}

base::Result<MoveMutation> decode_move(View payload) {
  base::Reader in(payload);
  MoveMutation m;
  m.pack = in.u64le();
  const uint32_t count = in.u32le();
  if (in.remaining() != count * kMoveRunBytes) TRY(malformed("move mutation"));
  m.runs.resize(count);
  for (MoveMutation::Run& run : m.runs) {
    run.partition = read_key(in);
    run.base_offset = Offset(in.i64le());
    run.batch_count = in.u32le();
    run.position = in.u64le();
  }
  return m;
}

}  // namespace polylog::storage
