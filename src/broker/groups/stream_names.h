// StreamNames: what a member subscribes to by name; ascending, each once. Immutable: copies share the names, on any
// thread, so that a division of many large subscriptions copies none. Not for: patterns.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace polylog::broker {

class StreamNames {
 public:
  StreamNames() = default;
  StreamNames(std::vector<std::string> names) {  // in any order
    std::ranges::sort(names);
    const auto repeated = std::ranges::unique(names);
    names.erase(repeated.begin(), repeated.end());
    if (!names.empty()) names_ = std::make_shared<const std::vector<std::string>>(std::move(names));
  }
  const std::vector<std::string>& list() const {
    static const std::vector<std::string> none;
    return names_ == nullptr ? none : *names_;
  }
  size_t size() const { return list().size(); }
  auto begin() const { return list().begin(); }
  auto end() const { return list().end(); }
  friend bool operator==(const StreamNames& a, const StreamNames& b) {
    return a.names_ == b.names_ || a.list() == b.list();
  }

 private:
  std::shared_ptr<const std::vector<std::string>> names_;  // null: none
};

}  // namespace polylog::broker
