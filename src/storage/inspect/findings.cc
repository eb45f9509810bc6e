#include "storage/inspect/findings.h"

#include <charconv>

namespace polylog::storage {
namespace {

constexpr std::string_view kAt = " at offset ";

}  // namespace

Finding to_finding(const base::Error& error, const std::string& directory) {
  const std::string_view text = error.text;
  Finding finding{.file = directory, .offset = {}, .what = error.text, .lost = {}};
  const size_t at = text.find(kAt);
  if (at == std::string_view::npos || text.substr(0, at).find(' ') != std::string_view::npos) return finding;
  uint64_t offset = 0;
  const auto [end, failed] = std::from_chars(text.data() + at + kAt.size(), text.data() + text.size(), offset);
  const std::string_view rest = text.substr(static_cast<size_t>(end - text.data()));
  if (failed != std::errc{} || !rest.starts_with(": ")) return finding;
  const std::string_view name = text.substr(0, at);
  finding.file = name.find('/') == std::string_view::npos ? directory + "/" + std::string(name) : std::string(name);
  finding.offset = offset;
  finding.what = rest.substr(2);
  return finding;
}

}  // namespace polylog::storage
