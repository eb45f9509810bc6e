// What is counted of methods, on one core: how many of each by the reply code of their fault (0: none), how long those took
// that the client waits for, and the messages in and out. A row begins with its first method. A publish counts when its
// content is complete, and takes until it is stored, whether the client asked for a confirm or not.
// Nothing here allocates after the first method of its kind.
#pragma once

#include <array>
#include <map>
#include <utility>

#include "base/time.h"
#include "broker/protocol_metrics.h"
#include "protocol/amqp/gen/method_id.h"

namespace polylog::amqp {

class RequestMetrics : public broker::ProtocolMetrics {
 public:
  explicit RequestMetrics(base::Registry& registry);

  void note(MethodId id, int code);  // 0: it went well
  void note_answered(MethodId id, base::Duration took);
  static bool has_answer(MethodId id);  // else nobody waits for it, and there is no time to take
  base::Histogram& publish_time() { return time_of(kPublish); }

 private:
  enum Group : uint8_t { kPublish, kConsume, kTopology, kSession };  // in the order of the names
  static Group group_of(MethodId id);

  // Classes are numbered in tens up to 90, methods up to 120.
  static constexpr size_t kClasses = 10, kMethods = 128;
  std::array<std::array<base::Counter*, kMethods>, kClasses> succeeded_{};
  std::map<std::pair<MethodId, int>, base::Counter*> others_;
};

}  // namespace polylog::amqp
