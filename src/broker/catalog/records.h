// What the catalog knows of a stream or a queue. A queue is a stream of one partition with work-queue retention and one
// subscription. Records are small values; every core holds a copy of all of them (catalog/catalog.h).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "broker/ids.h"

namespace polylog::broker {

enum class StreamKind : uint8_t {
  kStream = 0,  // read by offset, any number of times
  kQueue = 1,   // each entry is delivered, settled and gone
};

struct StreamRecord {
  base::Uuid id;
  std::string name;  // unique in its name space; the only name space so far is the default one
  StreamKind kind = StreamKind::kStream;
  bool durable = true;                       // false: memory-only partitions, never in the MetaStore
  bool auto_delete = false;                  // gone with its last consumer
  std::optional<SessionId> exclusive_owner;  // only that session may use it; gone with it
  std::vector<base::CellId> partitions;      // the cell of each
  // Settings by name, kept for the protocol that set them ("<protocol>.<setting>"); the engine reads none of them.
  std::map<std::string, std::string> attributes;
  uint64_t version = 0;  // of this record, rises with every change

  base::PartitionKey key(uint32_t index = 0) const { return {id, index}; }
};

// Settings of the whole broker that were made while it ran, by name. "<protocol>.<setting>" is kept for that protocol; the
// engine reads those of groups/config.h and no others.
struct Settings {
  uint64_t version = 0;  // rises with every change
  std::map<std::string, std::string> values;
};

// StreamRecord in the MetaStore, v1; drawn in docs/formats/meta.md. exclusive_owner and transient records are never stored.
std::string encode_record(const StreamRecord& record);
base::Result<StreamRecord> decode_record(base::View bytes);
std::string encode_settings(const Settings& settings);  // likewise, v1
base::Result<Settings> decode_settings(base::View bytes);

}  // namespace polylog::broker
