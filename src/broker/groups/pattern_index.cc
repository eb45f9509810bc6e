#include "broker/groups/pattern_index.h"

#include <utility>

namespace polylog::broker {

std::shared_ptr<const PatternIndex::Matched> PatternIndex::find(const std::string& text) {
  if (auto known = held(text)) return last_found_ = std::move(known);
  const NamePattern* pattern = parse(text);
  if (pattern == nullptr) return nullptr;
  auto matched = std::make_shared<Matched>(Matched{*pattern, {}});
  directory_.each_stream([&](std::string_view name, const StreamDirectory::Entry& entry) {
    if (matched->pattern.matches(name)) matched->streams.emplace(name, entry);
  });
  last_found_ = matched;
  patterns_[text] = matched;
  return matched;
}

bool PatternIndex::has_room_for(const std::string& text) {
  if (held(text) != nullptr) return true;
  const NamePattern* pattern = parse(text);
  const size_t compiled_bytes = pattern == nullptr ? 0 : pattern->compiled_bytes();
  if (has_room(compiled_bytes)) return true;
  last_found_.reset();
  std::erase_if(patterns_, [](const auto& entry) { return entry.second.expired(); });
  return has_room(compiled_bytes);
}

bool PatternIndex::has_room(size_t compiled_bytes) const {
  for (const auto& [text, held] : patterns_) {
    if (const auto matched = held.lock()) compiled_bytes += matched->pattern.compiled_bytes();
  }
  return patterns_.size() < kPatternsMax && compiled_bytes <= kCompiledBytesMax;
}

bool PatternIndex::is_new(const std::string& text) { return held(text) == nullptr && parse(text) != nullptr; }

std::shared_ptr<PatternIndex::Matched> PatternIndex::held(const std::string& text) const {
  const auto known = patterns_.find(text);
  return known == patterns_.end() ? nullptr : known->second.lock();
}

const NamePattern* PatternIndex::parse(const std::string& text) {
  if (text.size() > NamePattern::kTextBytesMax) return nullptr;
  if (!last_parsed_ || last_parsed_->text != text) {
    auto pattern = NamePattern::parse(text);
    last_parsed_ = Parsed{text, pattern ? std::optional(std::move(*pattern)) : std::nullopt};
  }
  return last_parsed_->pattern ? &*last_parsed_->pattern : nullptr;
}

// Who comes later knows the stream as it is then.
void PatternIndex::stream_changed(std::string_view name) {
  if (!patterns_.empty()) changed_.emplace_back(name);
}

void PatternIndex::compare_some() {
  for (size_t done = 0; done < kComparisonsPerTurn && !changed_.empty(); done += patterns_.size()) {
    compare(changed_.front());
    changed_.pop_front();
  }
}

void PatternIndex::compare(const std::string& name) {
  const auto entry = directory_.find_stream(name);
  for (const auto& [text, held] : patterns_) {
    const auto matched = held.lock();
    if (matched == nullptr) continue;
    if (!entry) {
      if (const auto gone = matched->streams.find(name); gone != matched->streams.end()) matched->streams.erase(gone);
    } else if (matched->pattern.matches(name)) {
      matched->streams.insert_or_assign(name, *entry);
    }
  }
}

}  // namespace polylog::broker
