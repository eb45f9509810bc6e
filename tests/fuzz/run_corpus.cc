// Runs a fuzz target over the files and directories given, once each, without libFuzzer: the corpus as a smoke test.
// Prints how many inputs it ran; a fault ends the process with the name of the input on stderr.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <unistd.h>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

namespace fs = std::filesystem;

void run(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "cannot read %s\n", path.c_str());
    std::exit(2);
  }
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  // Written before the run, so that it is the last line of a log that ends in a crash.
  std::fprintf(stderr, "%s\n", path.c_str());
  // A heap copy of the exact size lets AddressSanitizer see one byte too many.
  const std::vector<uint8_t> exact(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<fs::path> inputs;
  for (int i = 1; i < argc; ++i) {
    if (!fs::is_directory(argv[i])) {
      inputs.emplace_back(argv[i]);
      continue;
    }
    for (const auto& entry : fs::recursive_directory_iterator(argv[i])) {
      if (entry.is_regular_file()) inputs.push_back(entry.path());
    }
  }
  LLVMFuzzerTestOneInput(nullptr, 0);
  for (const auto& input : inputs) run(input);
  std::printf("%zu inputs\n", inputs.size() + 1);
}
