#include "storage/key_offsets.h"

#include <algorithm>

namespace polylog::storage {
namespace {

size_t slots_for(size_t bytes_max, size_t keys_expected) {
  const size_t wanted = (keys_expected / 3 + 1) * 4;
  return std::clamp<size_t>(wanted, 4, std::max<size_t>(bytes_max / KeyOffsets::kSlotBytes / 4 * 4, 4));
}

}  // namespace

KeyOffsets::KeyOffsets(size_t bytes_max, size_t keys_expected, const base::SipKey& secret, KeyPart part)
    : hash_(secret), part_(part), slots_(slots_for(bytes_max, keys_expected)) {}

// The key's slot, or the empty one where it belongs. There is always an empty one.
size_t KeyOffsets::find_slot(const base::Hash128& key) const {
  auto at = static_cast<size_t>((static_cast<unsigned __int128>(key.high) * slots_.size()) >> 64);
  while (slots_[at].next != 0 && slots_[at].key != key) at = at + 1 == slots_.size() ? 0 : at + 1;
  return at;
}

bool KeyOffsets::put(base::View key, Offset offset) {
  const base::Hash128 hash = hash_(key);
  if (!is_of_part(hash)) return true;
  Slot& slot = slots_[find_slot(hash)];
  if (slot.next == 0) {
    if (size_ == keys_max()) return false;
    ++size_;
    slot.key = hash;
  }
  slot.next = std::max(slot.next, offset.value + 1);
  return true;
}

std::optional<Offset> KeyOffsets::find(base::View key) const {
  const Slot& slot = slots_[find_slot(hash_(key))];
  if (slot.next == 0) return std::nullopt;
  return Offset(slot.next - 1);
}

}  // namespace polylog::storage
