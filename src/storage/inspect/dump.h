// dump_file: what is in one file of a data directory, a line for each thing: slots, mutations, objects, records, index
// entries. The file's name says what it is. Where something does not verify it says so, and goes on behind it where the
// format allows. Reads only; blocking. Not here: whether it fits other files (inspect/cell_check.h).
#pragma once

#include <functional>
#include <string>

#include "io/disk.h"
#include "storage/checkpoint.h"
#include "storage/mutation.h"

namespace polylog::storage {

struct DumpLine {
  uint64_t offset = 0;
  std::string_view kind;  // "slot", "mutation", ..., "damage"
  std::string text;
};

struct DumpOptions {
  io::Disk& disk;
  std::string path;
  std::function<bool(const DumpLine&)> line;  // false: enough
  std::function<std::string(const Mutation&)> describe_engine_mutation;
  std::function<std::string(const CheckpointObject&)> describe_engine_object;
  std::function<std::string(const std::string& key, const std::string& value)> describe_value;  // of the meta store
};

// kInvalid: the name is of no file that polylog writes. kIo, kNotFound: it cannot be read.
base::Result<> dump_file(const DumpOptions& options);

}  // namespace polylog::storage
