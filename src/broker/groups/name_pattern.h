// NamePattern: a regular expression that whole stream names are compared with. Matching takes time linear in the name,
// whatever the expression. Immutable; copies share the compiled form. Not for: replacing, groups, anything but names.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "base/limits.h"
#include "base/result.h"

namespace polylog::broker {

class NamePattern {
 public:
  static constexpr size_t kTextBytesMax = 4'096;
  // Of memory, with what comparing takes: most need no more than a little, some a lot.
  static constexpr size_t kCompiledBytesLittle = 64 * base::limits::kKiB;
  static constexpr size_t kCompiledBytesMax = 1 * base::limits::kMiB;

  // kInvalid: not an expression, too long, or too large once compiled.
  static base::Result<NamePattern> parse(std::string_view text);
  bool matches(std::string_view name) const;
  size_t compiled_bytes() const;  // that it may come to take: one of the two

 private:
  struct Compiled;
  explicit NamePattern(std::shared_ptr<const Compiled> compiled);
  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace polylog::broker
