// For tests of inspections: a check whose findings are kept, and a cell that has each kind of file.
#pragma once

#include "storage/cell_test_kit.h"
#include "storage/inspect/cell_check.h"

namespace polylog::storage {

struct Checked {
  std::vector<Finding> damages, notes;
  CellContents contents;
};

inline Checked check(io::Disk& disk) {
  Checked checked;
  const auto contents =
      check_cell({.disk = disk,
                  .directory = "/cell",
                  .cell = base::CellId(3),
                  .report =
                      [&](const Finding& finding) {
                        (finding.kind == Finding::Kind::kDamage ? checked.damages : checked.notes).push_back(finding);
                      },
                  .engine_mutation = [](const Mutation&, Lsn) { return base::Result<>{}; },
                  .engine_object = [](const CheckpointObject&) { return base::Result<>{}; }});
  REQUIRE_MESSAGE(contents.has_value(), (contents ? "" : contents.error().text));
  checked.contents = *contents;
  return checked;
}

inline std::string text_of(const Checked& checked) {
  std::string text;
  for (const Finding& f : checked.damages) text += f.file + ": " + f.what + "\n";
  return text;
}

// A cell whose batches lie in segments, packs and the log, with a checkpoint.
using WrittenBatches = std::vector<std::pair<base::PartitionKey, std::vector<std::string>>>;
inline WrittenBatches fill(CellKit& kit) {
  kit.keep_files = 1;
  kit.open();
  WrittenBatches written{{test_key(1), {}}, {test_key(2), {}}};
  kit.cell->find_or_make(test_key(1), false).set_moves_to_segments(true);
  for (uint64_t n = 0; n < 60; ++n) {
    for (auto& [key, batches] : written) {
      batches.push_back(test_batch(n * 2 + key.stream.bytes[0], 40'000));
      REQUIRE(kit.append(key, batches.back(), 2).has_value());
    }
    kit.settle();
  }
  REQUIRE(kit.checkpoint().has_value());
  kit.idle();
  REQUIRE(kit.append(test_key(2), "after the checkpoint").has_value());
  written[1].second.emplace_back("after the checkpoint");
  kit.idle();
  return written;
}

}  // namespace polylog::storage
