// MetaStore: the small, precious state that is not in a cell: which streams, queues and users exist. Keys and values are
// bytes; a transaction is durable, whole, before `done` is told. One owner (core 0). Reads see what is durable.
// Not for anything a message causes: a transaction costs a sync (later: a round trip to etcd, which brings watch and lease).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace polylog::storage {

struct MetaTxn {
  std::vector<std::pair<std::string, std::string>> puts;
  std::vector<std::string> removes;
  bool empty() const { return puts.empty() && removes.empty(); }
};

class MetaStore {
 public:
  virtual ~MetaStore() = default;
  virtual std::optional<std::string> get(std::string_view key) const = 0;
  virtual std::vector<std::pair<std::string, std::string>> range(std::string_view prefix) const = 0;  // sorted by key
  // Transactions become durable in the order of the calls and `done`s come in that order; an empty one waits its turn.
  virtual void commit(MetaTxn txn, std::function<void(base::Result<>)> done) = 0;
};

}  // namespace polylog::storage
