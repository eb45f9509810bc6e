// ProtocolMetrics: what every protocol counts on one core, under the same names with its own `protocol` label: messages in
// and out, requests by kind and error code, and how long requests took, by group. Which request is of which group, and the
// table of counters at hand, are the protocol's: a look-up by name allocates. Not thread-safe; owned by the core's sessions.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/metrics.h"

namespace polylog::broker {

class ProtocolMetrics {
 public:
  ProtocolMetrics(base::Registry& registry, std::string_view protocol, std::initializer_list<std::string_view> groups);

  base::Counter& messages_received;
  base::Counter& messages_sent;

 protected:
  base::Histogram& time_of(size_t group) { return *took_[group]; }  // in the order of `groups`
  base::Counter& requests(std::string_view kind, int code);         // makes the row at the first call

 private:
  std::string labels(std::string_view name, std::string_view value) const;

  base::Registry& registry_;
  const std::string protocol_;  // as a label
  std::vector<base::Histogram*> took_;
};

}  // namespace polylog::broker
