// Every limit polylog enforces, once. Each has a test at the limit and one past it. Protocol-given limits name their source.
#pragma once

#include <cstddef>
#include <cstdint>

namespace polylog::base::limits {

inline constexpr size_t kKiB = 1024;
inline constexpr size_t kMiB = 1024 * kKiB;
inline constexpr size_t kGiB = 1024 * kMiB;

// --- io
inline constexpr size_t kReadBufferBytes = 256 * kKiB;  // one a core, shared by its connections
inline constexpr size_t kConnectionQueuedBytesMax =
    8 * kMiB;                                     // output a peer has not read yet; past it we stop reading
inline constexpr size_t kMailRingBatches = 1024;  // batches in flight from one core to another
inline constexpr size_t kConnectionsPerCoreMax = 100'000;

// --- storage
inline constexpr size_t kBlockBytes = 4 * kKiB;  // slots begin on a block
inline constexpr size_t kWalFileBytesDefault = 32 * kMiB;
inline constexpr size_t kWalFileBytesMin = 1 * kMiB;
inline constexpr size_t kSlotPartBytesMax = 4 * kMiB;       // a slot's batch bytes; its mutations; one piece of a batch
inline constexpr size_t kWalFileSlotsMin = 8;               // small WAL files have smaller slots
inline constexpr size_t kWalFilesPerDisk = 64;              // a WAL file is at most this part of the file system
inline constexpr size_t kReserveBytesDefault = 256 * kMiB;  // kept for acks, deletes and checkpoints on a full disk
inline constexpr size_t kTailChunkBytes = 1 * kMiB;         // RAM that holds recent batches is taken in such blocks
inline constexpr uint16_t kCellsMax = 256;
inline constexpr size_t kOpenFilesMax = 16'384;  // of old data, that a process keeps open for its readers
inline constexpr size_t kOpenFilesMin = 64;      // likewise, however few descriptors it may have

// --- names and objects
inline constexpr size_t kNameBytesMax = 255;
inline constexpr uint32_t kPartitionsPerStreamMax = 100'000;
inline constexpr size_t kArgumentsBytesMax = 64 * kKiB;  // of one object's settings

// --- batches
inline constexpr size_t kBatchBytesMax = 104'857'600;  // any publish, before a stream's own limit
inline constexpr size_t kRecordsPerBatchMax = 1u << 20;

static_assert(kWalFileBytesDefault >= 2 * kWalFileSlotsMin * kSlotPartBytesMax / 2, "a full slot fits a WAL file");
static_assert(kWalFileBytesMin % kBlockBytes == 0 && kWalFileBytesDefault % kBlockBytes == 0);

}  // namespace polylog::base::limits
