// Sessions of fetches: a client names its partitions once and then only what changes; it is answered only what is new.
//
//   request epoch       meaning                                            answer
//   -1                  whole, no session; the one named ends              everything
//    0                  whole, for a new session; the one named ends       everything, and the session's id if there is room
//    1, 2, ..           what changed since the last request of the session   partitions with news
//
// Epochs count a session's requests and wrap from 2^31-1 to 1. A session belongs to no connection, but to one core: a client
// that comes back on another core is told that its session is not there, and asks for a new one. Ids of different cores
// differ, and begin at the clock, so that one given before a restart is not met again soon.
// Bounded in sessions and in partitions; what was idle longest goes first, and only if it was idle for long.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "base/metrics.h"
#include "base/time.h"
#include "protocol/kafka/gen/fetch.h"
#include "protocol/kafka/limits.h"

namespace polylog::kafka {

namespace limits {
inline constexpr size_t kFetchSessionPartitionsMax = 200'000;                      // of all sessions of a core
inline constexpr base::Duration kFetchSessionIdleMin = std::chrono::seconds(120);  // before it may be evicted
}  // namespace limits

constexpr int32_t epoch_after(int32_t epoch) { return epoch == INT32_MAX ? 1 : epoch + 1; }

class FetchSession {
 public:
  FetchSession(int32_t id, bool by_id) : id_(id), by_id_(by_id) {}
  FetchSession(const FetchSession&) = delete;
  FetchSession& operator=(const FetchSession&) = delete;

  int32_t id() const { return id_; }
  bool by_id() const { return by_id_; }     // topics are named by their ids
  int32_t epoch() const { return epoch_; }  // that the next request must have
  void advance() { epoch_ = epoch_after(epoch_); }
  size_t size() const { return partitions_.size(); }

  // Adds and changes the partitions that the request names, and drops those that it forgets.
  void update(const FetchRequest& request);
  // What is asked for, in the order in which it is served; views into the session.
  std::vector<FetchRequest::Topic> topics() const;
  // Whether there is news for the client in what would be answered, which counts as known to it from then on. A partition
  // with records is served after all others the next time, so that none starves.
  bool take_news(std::string_view topic, const base::Uuid& topic_id, const FetchResponse::Partition& reply);

 private:
  friend class FetchSessions;
  struct Topic {
    std::string name;
    base::Uuid id;
  };
  struct Partition {
    std::shared_ptr<const Topic> topic;
    FetchRequest::Partition asked;
    int64_t known_high_watermark = -1, known_log_start = -1;
  };
  using Order = std::list<Partition>;
  struct Key {
    std::string_view name;  // in a Topic
    base::Uuid id;
    int32_t index;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    size_t operator()(const Key& key) const;
  };
  void add(const FetchRequest::Topic& asked);

  const int32_t id_;
  const bool by_id_;
  int32_t epoch_ = 1;
  Order partitions_;
  std::unordered_map<Key, Order::iterator, Hash> by_key_;
  base::MonoTime last_used_;
};

// What one Fetch is part of. No session: it is whole, and answered whole.
struct FetchContext {
  std::shared_ptr<FetchSession> session;
  bool is_incremental = false;

  int32_t session_id() const { return session == nullptr ? 0 : session->id(); }
  bool must_send(std::string_view topic, const base::Uuid& topic_id, const FetchResponse::Partition& reply) const {
    if (session == nullptr) return true;
    return session->take_news(topic, topic_id, reply) || !is_incremental;
  }
};

// The sessions of one core.
class FetchSessions {
 public:
  // `count` shows how many there are. With `sessions_max` 0 none is given.
  FetchSessions(base::CoreId core, base::WallTime now, base::Gauge& count,
                int32_t sessions_max = limits::kFetchSessionsMax);

  struct Opened {
    ErrorCode error = ErrorCode::kNone;  // 70 no such session, 71 another epoch, 106 topics named in the other way
    FetchContext context;
  };
  // Takes a request in: of an incremental one the session's partitions are what is to be fetched.
  Opened open(const FetchRequest& request, bool by_id, base::MonoTime now);
  size_t size() const { return by_id_.size(); }
  size_t partition_count() const { return partition_count_; }

 private:
  using Order = std::list<std::shared_ptr<FetchSession>>;
  Opened open_incremental(const FetchRequest& request, bool by_id, base::MonoTime now);
  std::shared_ptr<FetchSession> make(const FetchRequest& request, bool by_id, base::MonoTime now);
  void update(FetchSession& session, const FetchRequest& request, base::MonoTime now);
  void remove(int32_t id);
  bool make_room(size_t partitions, base::MonoTime now);
  int32_t new_id();

  Order order_;  // least recently used first
  std::unordered_map<int32_t, Order::iterator> by_id_;
  size_t partition_count_ = 0;
  base::Gauge& count_;
  const size_t sessions_max_;
  const int32_t core_;
  int32_t next_;
};

}  // namespace polylog::kafka
