#include "protocol/amqp/request_metrics.h"

namespace polylog::amqp {
namespace {

constexpr std::string_view kProtocol = "amqp";

std::string labels(std::string_view name, std::string_view value) {
  return base::label("protocol", kProtocol) + "," + base::label(name, value);
}

}  // namespace

RequestMetrics::RequestMetrics(base::Registry& registry)
    : messages_received(registry.counter("polylog_messages_received_total", "Messages that clients published",
                                         base::label("protocol", kProtocol))),
      messages_sent(registry.counter("polylog_messages_sent_total", "Messages sent to clients",
                                     base::label("protocol", kProtocol))),
      registry_(registry) {
  static constexpr std::array<std::string_view, kGroups> kNames = {"publish", "consume", "topology", "session"};
  for (size_t i = 0; i < kGroups; ++i) {
    took_[i] = &registry.histogram("polylog_request_duration_seconds", "Time from a request's arrival to its answer",
                                   labels("group", kNames[i]));
  }
}

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
base::Counter& RequestMetrics::make(MethodId id, int code) {
  return registry_.counter("polylog_requests_total", "Requests answered, by kind and error code",
                           labels("kind", name_of(id)) + "," + base::label("code", std::to_string(code)));
}

void RequestMetrics::note(MethodId id, int code) {
  const size_t method_class = class_id_of(id) / 10u, method = method_id_of(id);
  const bool in_table = code == 0 && method_class < kClasses && method < kMethods;
  base::Counter*& counter =
      in_table ? succeeded_[method_class][method] : others_[{is_known(id) ? id : MethodId{}, code}];
  if (counter == nullptr) counter = &make(id, code);
  counter->add();
}

bool RequestMetrics::has_answer(MethodId id) {
  return id != MethodId::kBasicAck && id != MethodId::kBasicNack && id != MethodId::kBasicReject;
}

void RequestMetrics::note_answered(MethodId id, base::Duration took) { took_[group_of(id)]->record_ns(took.count()); }

}  // namespace polylog::amqp
