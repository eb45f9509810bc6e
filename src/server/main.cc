#include <malloc.h>

#include <algorithm>
#include <cstdio>

#include "server/cli/command_line.h"
#include "server/serve.h"

namespace {

using namespace polylog;

// glibc would give each thread an arena and map blocks above 128 KiB afresh. Requests of a megabyte are everyday here:
// each would cost page faults and a TLB flush on all cores, and freed memory would lie idle in other threads' arenas,
// beyond what memory_bytes_max can account for. So: two arenas, large blocks from the heap, and a trim that
// is rare but keeps a small budget small.
void tune_allocator(uint64_t memory_bytes_max) {
  constexpr uint64_t kTrimBytesMax = 256 * base::limits::kMiB;
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_MMAP_THRESHOLD, 64 * base::limits::kMiB);
  mallopt(M_TRIM_THRESHOLD, static_cast<int>(std::min(kTrimBytesMax, memory_bytes_max / 8)));
}

}  // namespace

int main(int argc, char** argv) {
  const server::Command command = server::parse_command_line(argc, argv);
  if (!command.out.empty()) std::fputs(command.out.c_str(), stdout);
  if (!command.error.empty()) std::fprintf(stderr, "polylog: %s\n", command.error.c_str());
  if (command.row != nullptr) return server::run_command(command);
  if (!command.serve) return command.exit_code;
  tune_allocator(server::memory_bytes_max_of(command.config, server::machine_memory_bytes()));
  return server::serve(command.config);
}
