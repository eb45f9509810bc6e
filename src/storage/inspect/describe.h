// Stored things as one line of text each, for `polylog dump`.
#pragma once

#include <string>

#include "storage/checkpoint.h"
#include "storage/mutation.h"
#include "storage/slot.h"

namespace polylog::storage {

std::string describe(const base::PartitionKey& key);
std::string describe(const SlotHeader& header);
std::string describe(const BatchRef& batch);
std::string describe(const SegmentRef& segment);
std::string describe_mutation(const Mutation& mutation);  // the partition's own
std::string describe_partition(const CheckpointObject& object);

}  // namespace polylog::storage
