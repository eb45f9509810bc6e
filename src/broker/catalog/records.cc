#include "broker/catalog/records.h"

#include "base/wire.h"

namespace polylog::broker {
namespace {

constexpr uint8_t kRecordVersion = 1;
constexpr uint8_t kSettingsVersion = 1;
constexpr uint8_t kAutoDelete = 1;

void write_text(base::Writer& out, std::string_view text) {
  out.u32le(static_cast<uint32_t>(text.size()));
  out.text(text);
}

std::string read_text(base::Reader& in) { return std::string(in.text(in.u32le())); }

using Texts = std::map<std::string, std::string>;

void write_texts(base::Writer& out, const Texts& texts) {
  out.u32le(static_cast<uint32_t>(texts.size()));
  for (const auto& [name, value] : texts) {
    write_text(out, name);
    write_text(out, value);
  }
}

void read_texts(base::Reader& in, Texts& texts) {
  for (uint32_t left = in.u32le(); left > 0 && in.ok(); --left) {
    std::string name = read_text(in);
    texts[std::move(name)] = read_text(in);
  }
}

std::unexpected<base::Error> newer_version() {
  return base::fail(base::ErrorCode::kCorrupt, "a catalog record of a newer version of polylog; start that one");
}

}  // namespace

// version u8 | kind u8 | flags u8 | id 16 B | name | record version u64 | partitions u32 {cell u16}... |
// attributes u32 {name, value}...        (text: bytes u32 | bytes)
std::string encode_record(const StreamRecord& record) {
  base::Writer out;
  out.u8(kRecordVersion);
  out.u8(static_cast<uint8_t>(record.kind));
  out.u8(record.auto_delete ? kAutoDelete : 0);
  out.bytes(record.id.bytes);
  write_text(out, record.name);
  out.u64le(record.version);
  out.u32le(static_cast<uint32_t>(record.partitions.size()));
  for (base::CellId cell : record.partitions) out.u16le(cell.value);
  write_texts(out, record.attributes);
  return std::string(base::as_text(out.view()));
}

base::Result<StreamRecord> decode_record(base::View bytes) {
  base::Reader in(bytes);
  if (in.u8() != kRecordVersion) return newer_version();
  StreamRecord record;
  const uint8_t kind = in.u8();
  record.kind = static_cast<StreamKind>(kind);
  record.auto_delete = (in.u8() & kAutoDelete) != 0;
  const base::View id = in.bytes(16);
  if (id.size() == 16) std::copy(id.begin(), id.end(), record.id.bytes.begin());
  record.name = read_text(in);
  record.version = in.u64le();
  for (uint32_t left = in.u32le(); left > 0 && in.ok(); --left) record.partitions.emplace_back(in.u16le());
  read_texts(in, record.attributes);
  if (!in.ok() || !in.at_end() || kind > 1) return base::fail(base::ErrorCode::kCorrupt, "a catalog record");
  return record;
}

// version u8 | record version u64 | values u32 {name, value}...
std::string encode_settings(const Settings& settings) {
  base::Writer out;
  out.u8(kSettingsVersion);
  out.u64le(settings.version);
  write_texts(out, settings.values);
  return std::string(base::as_text(out.view()));
}

base::Result<Settings> decode_settings(base::View bytes) {
  base::Reader in(bytes);
  if (in.u8() != kSettingsVersion) return newer_version();
  Settings settings;
  settings.version = in.u64le();
  read_texts(in, settings.values);
  if (!in.ok() || !in.at_end()) return base::fail(base::ErrorCode::kCorrupt, "the broker's settings");
  return settings;
}

}  // namespace polylog::broker
