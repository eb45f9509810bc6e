#include "tests/golden/tree.h"

#include <algorithm>

#include <fmt/format.h>

#include "tests/golden/rules.h"

namespace polylog::golden {
namespace {

constexpr std::string_view kNothing[] = {"", "-1", "null", "00000000000000000000000000000000"};

bool is_id(const Correlated& row, std::string_view value) {
  return std::ranges::find(kNothing, value) == std::end(kNothing) && value.starts_with(row.prefix);
}

bool matches(std::string_view pattern, std::string_view path) {
  return pattern == path || (pattern.starts_with("*.") && path.ends_with(pattern.substr(1)));
}

class Comparison {
 public:
  Comparison(Names& names, std::set<std::string>& used) : names_(names), used_(used) {}

  void compare(const std::string& path, const Tree& recorded, const Tree& ours) {
    if (is_masked(path)) return;
    if (const Correlated* row = find_correlated(ours.name); row != nullptr && recorded.children.empty()) {
      if (is_id(*row, recorded.value) && is_id(*row, ours.value)) {
        used_.insert(fmt::format("correlated {}", row->field));
        if (!names_.correlate(std::string(row->kind), recorded.value, ours.value)) note(path, recorded, ours);
        return;
      }
    }
    if (recorded.value != ours.value) note(path, recorded, ours);
    if (is_array(recorded) || is_array(ours)) return compare_elements(path, recorded, ours);
    for (const Tree& child : recorded.children) {
      const Tree* twin = ours.find(child.name);
      compare(path + "." + child.name, child, twin != nullptr ? *twin : Tree{child.name, "(absent)", {}});
    }
    for (const Tree& child : ours.children) {
      if (recorded.find(child.name) == nullptr)
        compare(path + "." + child.name, Tree{child.name, "(absent)", {}}, child);
    }
  }

  std::vector<std::string> found;

 private:
  static bool is_array(const Tree& tree) { return !tree.children.empty() && tree.children[0].name == "[]"; }

  bool is_masked(const std::string& path) {
    for (size_t i = 0; i < kMaskCount; ++i) {
      if (!matches(kMasks[i].path, path)) continue;
      used_.insert(fmt::format("masked {}", kMasks[i].path));
      return true;
    }
    return false;
  }

  void compare_elements(const std::string& path, const Tree& recorded, const Tree& ours) {
    const auto left = elements(path, recorded), right = elements(path, ours);
    if (left.size() != right.size()) {
      found.push_back(fmt::format("{}: recorded {} elements, polylog {}", path, left.size(), right.size()));
    }
    for (size_t i = 0; i < std::min(left.size(), right.size()); ++i) compare(path + "[]", *left[i], *right[i]);
  }

  std::vector<const Tree*> elements(const std::string& path, const Tree& array) {
    std::vector<const Tree*> all;
    for (const Tree& element : array.children) {
      if (!is_left_out(path, element)) all.push_back(&element);
    }
    for (size_t i = 0; i < kUnorderedCount; ++i) {
      if (!matches(kUnordered[i].path, path)) continue;
      std::ranges::sort(all, {}, [](const Tree* e) { return key_of(*e); });
      used_.insert(fmt::format("unordered {}", path));
    }
    return all;
  }

  bool is_left_out(const std::string& path, const Tree& element) {
    for (size_t i = 0; i < kLeaveCount; ++i) {
      const Tree* field = element.find(kLeaves[i].field);
      if (!matches(kLeaves[i].path, path) || field == nullptr || field->value != kLeaves[i].value) continue;
      used_.insert(fmt::format("left out {}", path));
      return true;
    }
    return false;
  }

  // What names an element: a field that says so, or all of a plain value.
  static std::string key_of(const Tree& element) {
    for (const char* field : {"name", "partition_index", "group_id", "topic"}) {
      if (const Tree* key = element.find(field)) return fmt::format("{:>20}", key->value);
    }
    return element.value;
  }

  void note(const std::string& path, const Tree& recorded, const Tree& ours) {
    found.push_back(fmt::format("{}: recorded '{}', polylog '{}'", path, recorded.value, ours.value));
  }

  Names& names_;
  std::set<std::string>& used_;
};

}  // namespace

const Tree* Tree::find(std::string_view child) const {
  const auto at = std::ranges::find(children, child, &Tree::name);
  return at != children.end() ? &*at : nullptr;
}

std::string hex_of(base::View bytes) {
  std::string hex;
  for (const uint8_t byte : bytes) hex += fmt::format("{:02x}", byte);
  return hex;
}

std::string text_of(base::View bytes) {
  std::string text;
  for (const uint8_t byte : bytes)
    text += byte >= 0x20 && byte < 0x7F ? std::string(1, static_cast<char>(byte)) : fmt::format("\\{:02x}", byte);
  return text;
}

bool Names::correlate(const std::string& kind, const std::string& recorded, const std::string& ours) {
  const auto [there, is_new] = ours_.try_emplace({kind, recorded}, ours);
  const auto [back, is_new_back] = recorded_.try_emplace({kind, ours}, recorded);
  return there->second == ours && back->second == recorded;
}

const std::string* Names::ours_for(const std::string& kind, const std::string& recorded) const {
  const auto at = ours_.find({kind, recorded});
  return at != ours_.end() ? &at->second : nullptr;
}

const std::string* Names::recorded_for(const std::string& kind, const std::string& ours) const {
  const auto at = recorded_.find({kind, ours});
  return at != recorded_.end() ? &at->second : nullptr;
}

std::vector<std::string> differences(const Tree& recorded, const Tree& ours, Names& names,
                                     std::set<std::string>& used) {
  Comparison comparison(names, used);
  comparison.compare(recorded.name, recorded, ours);
  return std::move(comparison.found);
}

}  // namespace polylog::golden
