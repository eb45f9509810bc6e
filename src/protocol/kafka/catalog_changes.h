// CatalogChanges: the changes that one request makes to the catalog. A bounded number of them is under way at once, so that a
// request for very many shares the catalog with others. Not for: what the answers say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <utility>

#include "protocol/kafka/session.h"

namespace polylog::kafka {

namespace limits {
inline constexpr size_t kChangesOpenMax = 256;  // of one request
}  // namespace limits

class CatalogChanges {
 public:
  // `place`: where in the response its answer goes.
  void add(size_t place, broker::CatalogRequest request) { waiting_.emplace_back(place, std::move(request)); }
  // As many as may be under way; their answers go to `pending`.
  void send(const Call& call, const std::shared_ptr<PendingCall>& pending) {
    for (; !waiting_.empty() && places_.size() < limits::kChangesOpenMax; waiting_.pop_front()) {
      auto& [place, request] = waiting_.front();
      const broker::ReplyTo reply_to = call.expect(pending);
      places_.emplace(reply_to.token.value, place);
      call.broker().change_catalog(reply_to, std::move(request));
    }
  }
  // The place of the one that is answered.
  size_t take(broker::Token token) { return places_.extract(token.value).mapped(); }
  bool empty() const { return waiting_.empty() && places_.empty(); }

 private:
  std::deque<std::pair<size_t, broker::CatalogRequest>> waiting_;
  std::unordered_map<uint64_t, size_t> places_;  // by token
};

}  // namespace polylog::kafka
