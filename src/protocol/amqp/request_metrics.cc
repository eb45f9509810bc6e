#include "protocol/amqp/request_metrics.h"

namespace polylog::amqp {
RequestMetrics::RequestMetrics(base::Registry& registry)
    : ProtocolMetrics(registry, "amqp", {"publish", "consume", "topology", "session"}) {}

RequestMetrics::Group RequestMetrics::group_of(MethodId id) {
  if (id == MethodId::kBasicPublish) return kPublish;
  switch (class_id_of(id)) {
    case class_id_of(MethodId::kBasicConsume): return kConsume;
    case class_id_of(MethodId::kQueueDeclare):
    case class_id_of(MethodId::kExchangeDeclare): return kTopology;
    default: return kSession;
  }
}

// A client may send any method number: those that nobody knows are one kind.
void RequestMetrics::note(MethodId id, int code) {
  const size_t method_class = class_id_of(id) / 10u, method = method_id_of(id);
  const bool in_table = code == 0 && method_class < kClasses && method < kMethods;
  base::Counter*& counter =
      in_table ? succeeded_[method_class][method] : others_[{is_known(id) ? id : MethodId{}, code}];
  if (counter == nullptr) counter = &requests(name_of(id), code);
  counter->add();
}

bool RequestMetrics::has_answer(MethodId id) {
  return id != MethodId::kBasicAck && id != MethodId::kBasicNack && id != MethodId::kBasicReject;
}

void RequestMetrics::note_answered(MethodId id, base::Duration took) { time_of(group_of(id)).record_ns(took.count()); }

}  // namespace polylog::amqp
