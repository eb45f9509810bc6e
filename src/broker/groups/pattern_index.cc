#include "broker/groups/pattern_index.h"

#include <utility>

namespace polylog::broker {

std::shared_ptr<const PatternIndex::Matched> PatternIndex::find(const std::string& text) {
  if (const auto known = patterns_.find(text); known != patterns_.end()) {
    if (auto matched = known->second.lock()) return last_found_ = std::move(matched);
  }
  auto pattern = NamePattern::parse(text);
  if (!pattern) return nullptr;
  auto matched = std::make_shared<Matched>(Matched{std::move(*pattern), {}});
  directory_.each_stream([&](std::string_view name, const StreamDirectory::Entry& entry) {
    if (matched->pattern.matches(name)) matched->streams.emplace(name, entry);
  });
  last_found_ = matched;
  std::erase_if(patterns_, [](const auto& entry) { return entry.second.expired(); });
  patterns_[text] = matched;
  return matched;
}

bool PatternIndex::knows(const std::string& text) const {
  const auto known = patterns_.find(text);
  return known != patterns_.end() && !known->second.expired();
}

void PatternIndex::stream_changed(std::string_view name) {
  const auto entry = directory_.find_stream(name);
  for (const auto& [text, held] : patterns_) {
    const auto matched = held.lock();
    if (matched == nullptr) continue;
    if (!entry) {
      if (const auto gone = matched->streams.find(name); gone != matched->streams.end()) matched->streams.erase(gone);
    } else if (matched->pattern.matches(name)) {
      matched->streams.insert_or_assign(std::string(name), *entry);
    }
  }
}

}  // namespace polylog::broker
