#include "broker/groups/name_pattern.h"

#include <re2/re2.h>

#include <utility>

namespace polylog::broker {
namespace {

RE2::Options options(size_t compiled_bytes) {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_never_capture(true);
  options.set_max_mem(static_cast<int64_t>(compiled_bytes));
  return options;
}

re2::StringPiece piece(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

struct NamePattern::Compiled {
  Compiled(std::string_view text, size_t bytes) : expression(piece(text), options(bytes)), bytes_max(bytes) {}
  RE2 expression;
  size_t bytes_max;
};

NamePattern::NamePattern(std::shared_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}

base::Result<NamePattern> NamePattern::parse(std::string_view text) {
  if (text.size() > kTextBytesMax) return base::fail(base::ErrorCode::kInvalid, "the expression is too long");
  auto compiled = std::make_shared<const Compiled>(text, kCompiledBytesLittle);
  if (compiled->expression.error_code() == RE2::ErrorPatternTooLarge)
    compiled = std::make_shared<const Compiled>(text, kCompiledBytesMax);
  if (!compiled->expression.ok()) return base::fail(base::ErrorCode::kInvalid, compiled->expression.error());
  return NamePattern(std::move(compiled));
}

size_t NamePattern::compiled_bytes() const { return compiled_->bytes_max; }

bool NamePattern::matches(std::string_view name) const { return RE2::FullMatch(piece(name), compiled_->expression); }

}  // namespace polylog::broker
