// KeyOffsets: for each key the last offset it was seen at, in a fixed amount of memory however long keys are: a key is held as
// its 128-bit hash.
//
// A collision would drop a record whose key was not written again. The hash is SipHash-2-4-128 under a secret key that changes
// with every start, so collisions cannot be made, only met by chance: for n keys with n^2 / 2^129, which for ten thousand
// million keys is less than 10^-18. Disks lose more.
//
// Where even the keys of one batch do not fit, they are taken a part at a time: each part is the keys of some hashes.
//
// An open hash table, 24 bytes a slot, three quarters full at most. Used by one thread at a time.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "base/siphash.h"
#include "storage/batch_ref.h"

namespace polylog::storage {

struct KeyPart {  // of all keys
  size_t index = 0, count = 1;
  bool is_last() const { return index + 1 == count; }
  friend bool operator==(const KeyPart&, const KeyPart&) = default;
};

class KeyOffsets {
 public:
  static constexpr size_t kSlotBytes = 24;

  // Takes no more memory than `keys_expected` keys need, and never more than `bytes_max`. Keys of other parts are not
  // kept.
  KeyOffsets(size_t bytes_max, size_t keys_expected, const base::SipKey& secret, KeyPart part = {});

  // The greater offset stays. False: the key is new and there is no room; nothing changed.
  bool put(base::View key, Offset offset);
  std::optional<Offset> find(base::View key) const;
  size_t size() const { return size_; }
  KeyPart part() const { return part_; }
  size_t keys_max() const { return slots_.size() / 4 * 3; }
  static size_t keys_max_of(size_t bytes_max) { return std::max<size_t>(bytes_max / kSlotBytes / 4, 1) * 3; }
  size_t memory_bytes() const { return slots_.size() * kSlotBytes; }

 private:
  struct Slot {
    base::Hash128 key;
    int64_t next = 0;  // the offset + 1; 0: empty
  };
  static_assert(sizeof(Slot) == kSlotBytes);
  size_t find_slot(const base::Hash128& key) const;
  bool is_of_part(const base::Hash128& key) const { return key.low % part_.count == part_.index; }

  base::SipHash128 hash_;
  KeyPart part_;
  std::vector<Slot> slots_;
  size_t size_ = 0;
};

}  // namespace polylog::storage
