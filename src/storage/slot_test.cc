#include "storage/slot.h"

#include <doctest/doctest.h>

#include "base/crc32c.h"

namespace polylog::storage {
namespace {

TEST_CASE("a_header_round_trips_and_any_flipped_bit_is_noticed") {
  SlotHeader header{.kind = SlotKind::kWitness,
                    .cell = base::CellId(7),
                    .epoch = base::Epoch(9),
                    .seq = SlotSeq(11),
                    .lsn = Lsn(13),
                    .durable_seq = SlotSeq(10),
                    .position = {3, 8192},
                    .leader_ts = {99},
                    .batch_bytes = 5,
                    .mutation_bytes = 6,
                    .mutation_count = 1,
                    .previous_crc = 77,
                    .body_crc = 88};
  std::array<uint8_t, kSlotHeaderBytes> bytes{};
  const uint32_t written = encode_slot_header(header, bytes);
  SlotHeader read;
  uint32_t crc = 0;
  REQUIRE(decode_slot_header(bytes, read, crc));
  CHECK(crc == written);
  CHECK((read.kind == header.kind && read.cell == header.cell && read.epoch == header.epoch && read.seq == header.seq));
  CHECK((read.lsn == header.lsn && read.durable_seq == header.durable_seq && read.position == header.position));
  CHECK((read.previous_crc == 77 && read.body_crc == 88 && read.body_bytes() == 11 && read.disk_bytes() == 4096));
  for (size_t bit = 0; bit < kSlotHeaderBytes * 8; ++bit) {
    auto damaged = bytes;
    damaged[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    CHECK(!decode_slot_header(damaged, read, crc));
    CHECK(resembles_slot_header(damaged, header.position));
  }
  CHECK(!resembles_slot_header(bytes, {4, 8192}));
  CHECK(!resembles_slot_header(std::array<uint8_t, kSlotHeaderBytes>{}, {4, 8192}));
  CHECK(!decode_slot_header(View(bytes).first(127), read, crc));
}

TEST_CASE("a_slot_of_a_newer_version_is_told_from_a_torn_one") {
  std::array<uint8_t, kSlotHeaderBytes> bytes{};
  encode_slot_header({}, bytes);
  CHECK(!is_newer_slot_header(bytes));
  bytes[4] = kSlotVersion + 1;
  CHECK(!is_newer_slot_header(bytes));  // its crc does not hold: damage
  const uint32_t crc = base::crc32c(View(bytes).first(kSlotHeaderBytes - 4));
  std::memcpy(bytes.data() + kSlotHeaderBytes - 4, &crc, 4);
  CHECK(is_newer_slot_header(bytes));
  SlotHeader header;
  uint32_t read = 0;
  CHECK(!decode_slot_header(bytes, header, read));
}

}  // namespace
}  // namespace polylog::storage
