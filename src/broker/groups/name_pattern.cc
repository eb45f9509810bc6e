#include "broker/groups/name_pattern.h"

#include <re2/re2.h>

#include <utility>

namespace polylog::broker {
namespace {

RE2::Options options() {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_never_capture(true);
  options.set_max_mem(static_cast<int64_t>(NamePattern::kCompiledBytesMax));
  return options;
}

re2::StringPiece piece(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

struct NamePattern::Compiled {
  explicit Compiled(std::string_view text) : expression(piece(text), options()) {}
  RE2 expression;
};

NamePattern::NamePattern(std::shared_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}

base::Result<NamePattern> NamePattern::parse(std::string_view text) {
  if (text.size() > kTextBytesMax) return base::fail(base::ErrorCode::kInvalid, "the expression is too long");
  auto compiled = std::make_shared<const Compiled>(text);
  if (!compiled->expression.ok()) return base::fail(base::ErrorCode::kInvalid, compiled->expression.error());
  return NamePattern(std::move(compiled));
}

bool NamePattern::matches(std::string_view name) const { return RE2::FullMatch(piece(name), compiled_->expression); }

}  // namespace polylog::broker
