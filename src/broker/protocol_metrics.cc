#include "broker/protocol_metrics.h"

namespace polylog::broker {

ProtocolMetrics::ProtocolMetrics(base::Registry& registry, std::string_view protocol,
                                 std::initializer_list<std::string_view> groups)
    : messages_received(registry.counter("polylog_messages_received_total", "Messages that clients published",
                                         base::label("protocol", protocol))),
      messages_sent(registry.counter("polylog_messages_sent_total", "Messages sent to clients",
                                     base::label("protocol", protocol))),
      registry_(registry),
      protocol_(base::label("protocol", protocol)) {
  for (const std::string_view group : groups) {
    took_.push_back(&registry.histogram("polylog_request_duration_seconds",
                                        "Time from a request's arrival to its answer", labels("group", group)));
  }
}

std::string ProtocolMetrics::labels(std::string_view name, std::string_view value) const {
  return protocol_ + "," + base::label(name, value);
}

base::Counter& ProtocolMetrics::requests(std::string_view kind, int code) {
  return registry_.counter("polylog_requests_total", "Requests answered, by kind and error code",
                           labels("kind", kind) + "," + base::label("code", std::to_string(code)));
}

}  // namespace polylog::broker
