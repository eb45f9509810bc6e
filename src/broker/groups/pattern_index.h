// PatternIndex: which streams the patterns of one cell's groups stand for. A pattern is compared with every name once, when it
// is first asked for; from then on with each stream that comes, grows or goes. So groups that share a pattern share its
// streams, and a heartbeat compares nothing. A pattern is forgotten when nobody holds it any more, but for the last asked for.
// Not for: limits on how many (managed_targets.cc), names that are written out. Used by the cell's core.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "broker/groups/name_pattern.h"
#include "broker/groups/stream_directory.h"

namespace polylog::broker {

class PatternIndex {
 public:
  struct Matched {
    NamePattern pattern;
    std::map<std::string, StreamDirectory::Entry, std::less<>> streams;  // by name
  };

  explicit PatternIndex(const StreamDirectory& directory) : directory_(directory) {}

  // Null: not an expression that can be had.
  std::shared_ptr<const Matched> find(const std::string& text);
  bool knows(const std::string& text) const;  // find() compares nothing
  void stream_changed(std::string_view name);

 private:
  const StreamDirectory& directory_;
  std::map<std::string, std::weak_ptr<Matched>> patterns_;
  std::shared_ptr<const Matched> last_found_;  // asked for again before anybody holds it
};

}  // namespace polylog::broker
