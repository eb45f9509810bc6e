// The engine's part of looking at stored files: whether its mutations, checkpoint objects and meta records decode, and what
// they say, as one line of text. Keeps nothing, changes nothing.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "storage/checkpoint.h"
#include "storage/mutation.h"

namespace polylog::broker {

base::Result<std::string> inspect_mutation(const storage::Mutation& mutation);
base::Result<std::string> inspect_object(const storage::CheckpointObject& object);
// A record of the meta store, by its key (catalog/catalog_service.h).
base::Result<std::string> inspect_meta(std::string_view key, std::string_view value);

}  // namespace polylog::broker
