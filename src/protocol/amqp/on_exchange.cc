// Methods of class exchange. Only the predeclared exchanges exist; what would need others is answered 540.
#include <fmt/format.h>

#include "protocol/amqp/arguments.h"
#include "protocol/amqp/commands.h"
#include "protocol/amqp/connection.h"
#include "protocol/amqp/exchanges.h"

namespace polylog::amqp {
namespace {

std::unexpected<Fault> on_default_exchange() {
  return refuse(ReplyCode::kAccessRefused, "operation not permitted on the default exchange");
}

std::unexpected<Fault> reserved_name(std::string_view name) {
  return refuse(ReplyCode::kAccessRefused, fmt::format("exchange name '{}' contains reserved prefix 'amq.*'", name));
}

Outcome check_equivalence(const Exchange& exchange, const ExchangeDeclare& m) {
  const std::string object = fmt::format("exchange '{}' in vhost '/'", exchange.name);
  const auto mismatch = [&](std::string_view name, std::string_view received, std::string_view current) -> Outcome {
    return refuse(ReplyCode::kPreconditionFailed, inequivalent_text(object, name, received, current));
  };
  const auto text = [](bool value) { return value ? "true" : "false"; };
  if (m.type != exchange.type) {
    return mismatch("type", fmt::format("'{}'", m.type), fmt::format("'{}'", exchange.type));
  }
  if (!m.durable) return mismatch("durable", "'false'", "'true'");
  if (m.auto_delete) return mismatch("auto_delete", "'true'", "'false'");
  if (m.internal != exchange.internal) {
    return mismatch("internal", fmt::format("'{}'", text(m.internal)), fmt::format("'{}'", text(exchange.internal)));
  }
  return {};
}

}  // namespace

Outcome on_exchange_declare(Channel& channel, const ExchangeDeclare& m) {
  const Exchange* exchange = find_exchange(m.exchange);
  if (m.passive) {
    if (exchange == nullptr) return std::unexpected(no_exchange(m.exchange));
  } else if (m.exchange.empty()) {
    return on_default_exchange();
  } else if (exchange == nullptr) {
    if (m.exchange.starts_with("amq.")) return reserved_name(m.exchange);
    return std::unexpected(not_implemented("declaring exchanges: publish to the default exchange instead"));
  } else if (Outcome outcome = check_equivalence(*exchange, m); !outcome) {
    return outcome;
  }
  channel.answer(ExchangeDeclareOk{}, m.no_wait);
  return {};
}

Outcome on_exchange_delete(Channel& channel, const ExchangeDelete& m) {
  if (m.exchange.empty()) return on_default_exchange();
  if (m.exchange.starts_with("amq.")) return reserved_name(m.exchange);
  channel.answer(ExchangeDeleteOk{}, m.no_wait);  // deleting what is not there succeeds
  return {};
}

Outcome on_exchange_bind(Channel&, const ExchangeBind& m) {
  if (m.source.empty() || m.destination.empty()) return on_default_exchange();
  for (const std::string_view name : {m.source, m.destination}) {
    if (!is_known_exchange(name)) return std::unexpected(no_exchange(name));
  }
  return std::unexpected(not_implemented("exchange to exchange bindings"));
}

Outcome on_exchange_unbind(Channel& channel, const ExchangeUnbind& m) {
  if (m.source.empty() || m.destination.empty()) return on_default_exchange();
  channel.answer(ExchangeUnbindOk{}, m.no_wait);
  return {};
}

}  // namespace polylog::amqp
