// PatternIndex: which streams the patterns of one cell's groups stand for. A pattern is compared with every name once, when it
// is first asked for; from then on with each stream that comes, grows or goes, a share of them in a turn. So groups that share
// a pattern share its streams, and a heartbeat compares nothing. A pattern is forgotten when nobody holds it any more, but for
// the last asked for.
// Not for: how many one group may have (managed_targets.cc), names that are written out. Used by the cell's core.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <optional>
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

  // Each is compared with every stream that comes, and keeps the names of those that it stands for.
  static constexpr size_t kPatternsMax = 512;
  static constexpr size_t kCompiledBytesMax = 32 * base::limits::kMiB;
  static constexpr size_t kComparisonsPerTurn = 2'048;  // of a name with a pattern: about a millisecond
  static_assert(kPatternsMax * NamePattern::kCompiledBytesLittle <= kCompiledBytesMax, "so many usual ones have room");
  static_assert(kPatternsMax <= kComparisonsPerTurn, "one name takes no more than a share");

  explicit PatternIndex(const StreamDirectory& directory) : directory_(directory) {}

  // Null: not an expression that can be had. Takes in whatever is asked for: who has the choice asks has_room_for() before.
  std::shared_ptr<const Matched> find(const std::string& text);
  bool has_room_for(const std::string& text);
  bool is_new(const std::string& text);  // find() would compare all names
  // It came, grew or went: compared when compare_some() gets to it.
  void stream_changed(std::string_view name);
  bool has_changes() const { return !changed_.empty(); }
  void compare_some();  // a turn's share

 private:
  struct Parsed {
    std::string text;
    std::optional<NamePattern> pattern;  // none: not an expression that can be had
  };

  void compare(const std::string& name);
  std::shared_ptr<Matched> held(const std::string& text) const;
  bool has_room(size_t compiled_bytes) const;
  const NamePattern* parse(const std::string& text);

  const StreamDirectory& directory_;
  std::deque<std::string> changed_;
  std::map<std::string, std::weak_ptr<Matched>> patterns_;  // some that nobody holds among them
  std::optional<Parsed> last_parsed_;                       // it is new: soon asked for
  std::shared_ptr<const Matched> last_found_;               // asked for again before anybody holds it
};

}  // namespace polylog::broker
