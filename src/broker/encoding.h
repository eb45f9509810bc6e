// Encoding: all that the core knows of a foreign batch format. One implementation a wire format, in its protocol directory,
// registered by server/ under a stable one-byte tag that is stored with every batch and never interpreted here.
// Stateless and shared by all cores. Never sees a socket; never fails on bytes that validate() accepted.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "broker/message.h"

namespace polylog::storage {
class CompactFormat;
}

namespace polylog::broker {

class Encoding {
 public:
  virtual ~Encoding() = default;

  // Patches offset and epoch into the head of a batch, where the format has a place for them. `head` holds at least the
  // first 4 KiB of the batch, or all of it.
  virtual void place(base::MutView head, base::Offset base, base::Epoch epoch) const = 0;

  // Calls `visit` for each record of the batch in order with its hub form. `base` is the batch's first offset;
  // records may carry gaps (a compacted batch), so each visit names its offset.
  using Visit = std::function<void(base::Offset offset, HubMessage message)>;
  virtual base::Result<> to_hub(base::View batch, base::Offset base, const Visit& visit) const = 0;

  // A batch in this format of messages that came in no wire format, in their order. One without a timestamp gets `now`.
  struct Built {
    std::vector<uint8_t> bytes;
    base::WallTime max_ts;
  };
  virtual Built from_hub(std::span<const HubMessage> messages, base::WallTime now) const = 0;

  // For compaction (storage/compact_format.h). Null: its records have no keys.
  virtual const storage::CompactFormat* compact_format() const { return nullptr; }
};

class EncodingRegistry {
 public:
  void add(uint8_t tag, std::unique_ptr<Encoding> encoding) { encodings_[tag] = std::move(encoding); }
  const Encoding* find(uint8_t tag) const { return encodings_[tag].get(); }

 private:
  std::array<std::unique_ptr<Encoding>, 256> encodings_;
};

}  // namespace polylog::broker
