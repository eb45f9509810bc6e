// The exchanges that are always there. Declared ones and bindings do not exist yet.
#pragma once

#include <array>
#include <string_view>

namespace polylog::amqp {

struct Exchange {
  std::string_view name;
  std::string_view type;
  bool internal = false;
};

inline constexpr std::array kExchanges = {
    Exchange{"", "direct"},
    Exchange{"amq.direct", "direct"},
    Exchange{"amq.fanout", "fanout"},
    Exchange{"amq.topic", "topic"},
    Exchange{"amq.headers", "headers"},
    Exchange{"amq.match", "headers"},
    Exchange{"amq.rabbitmq.trace", "topic", true},
};

constexpr const Exchange* find_exchange(std::string_view name) {
  for (const Exchange& exchange : kExchanges) {
    if (exchange.name == name) return &exchange;
  }
  return nullptr;
}
constexpr bool is_known_exchange(std::string_view name) { return find_exchange(name) != nullptr; }
constexpr bool is_internal_exchange(std::string_view name) {
  const Exchange* exchange = find_exchange(name);
  return exchange != nullptr && exchange->internal;
}

}  // namespace polylog::amqp
