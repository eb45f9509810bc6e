// Methods of class queue. A stream queue is a stream of one partition; classic and quorum queues are queues.
#include <fmt/format.h>

#include "protocol/amqp/commands.h"
#include "protocol/amqp/connection.h"
#include "protocol/amqp/exchanges.h"
#include "protocol/amqp/queue_lookup.h"

namespace polylog::amqp {
namespace {

constexpr std::string_view kServerNamePrefix = "amq.gen-";
constexpr std::string_view kReservedPrefix = "amq.";

// A declaration, owned: it outlives the frame while the catalog works.
struct Declaration {
  std::string name;
  QueueFlags flags;
  QueueType type = QueueType::kClassic;
  std::string arguments;
  bool no_wait = false;
  base::View table() const { return base::as_view(arguments); }
  std::string object() const { return describe_queue(name, kVhost); }
};

std::unexpected<Fault> precondition(std::string reason) {
  return refuse(ReplyCode::kPreconditionFailed, std::move(reason));
}

Outcome answer_declare(Channel& channel, const Record& record, bool no_wait) {
  channel.last_queue() = record->name;
  if (no_wait) return {};
  return ask_counts(channel, record, [&channel, name = record->name](QueueCounts counts) -> Outcome {
    channel.answer(QueueDeclareOk{.queue = name, .message_count = counts.messages, .consumer_count = counts.consumers});
    return {};
  });
}

Outcome check_equivalence(Channel& channel, const Declaration& wanted, const broker::StreamRecord& record) {
  if (is_locked(channel, record) || wanted.flags.exclusive != record.exclusive_owner.has_value()) {
    return std::unexpected(locked_queue(wanted.name));
  }
  const std::string object = wanted.object();
  const QueueFlags current{
      .durable = record.durable, .exclusive = record.exclusive_owner.has_value(), .auto_delete = record.auto_delete};
  if (auto reason = equivalent_flags(object, wanted.flags, current)) return precondition(std::move(*reason));
  const auto arguments = record.attributes.find(kArgumentsAttribute);
  if (arguments == record.attributes.end()) {  // another protocol's
    if (wanted.type == type_of(record)) return {};
    return precondition(inequivalent_text(object, "x-queue-type", fmt::format("'{}'", name_of(wanted.type)),
                                          fmt::format("'{}'", name_of(type_of(record)))));
  }
  auto reason = equivalent_arguments(object, type_of(record), wanted.table(), base::as_view(arguments->second));
  if (reason) return precondition(std::move(*reason));
  return {};
}

broker::CreateStream creation_of(Channel& channel, const Declaration& wanted) {
  const QueueFlags flags = normalized(wanted.flags);
  broker::CreateStream request;
  request.wanted.name = wanted.name;
  request.wanted.kind = wanted.type == QueueType::kStream ? broker::StreamKind::kStream : broker::StreamKind::kQueue;
  request.wanted.durable = flags.durable;
  request.wanted.auto_delete = flags.auto_delete;
  if (flags.exclusive) request.wanted.exclusive_owner = channel.session().id();
  request.wanted.attributes[kArgumentsAttribute] = wanted.arguments;
  request.wanted.attributes[kTypeAttribute] = name_of(wanted.type);
  return request;
}

Outcome create(Channel& channel, Declaration wanted) {
  if (auto reason = check_queue_arguments(wanted.object(), wanted.type, wanted.flags, wanted.table())) {
    return precondition(std::move(*reason));
  }
  if (!wanted.flags.server_named && wanted.name.starts_with(kReservedPrefix)) {
    return refuse(ReplyCode::kAccessRefused,
                  fmt::format("queue name '{}' contains reserved prefix 'amq.*'", wanted.name));
  }
  auto request = creation_of(channel, wanted);
  channel.ask_catalog(std::move(request),
                      [&channel, wanted = std::move(wanted)](broker::ActionBody& answer) -> Outcome {
                        auto& done = std::get<broker::CatalogDone>(answer);
                        const bool exists = !done.result && done.result.error().code == base::ErrorCode::kExists;
                        if (!done.result && !exists) {
                          return std::unexpected(to_fault(done.result.error(), wanted.object()));
                        }
                        if (exists) {  // somebody was faster
                          if (Outcome outcome = check_equivalence(channel, wanted, *done.record); !outcome)
                            return outcome;
                        }
                        return answer_declare(channel, done.record, wanted.no_wait);
                      });
  return {};
}

Outcome declare_passively(Channel& channel, const QueueDeclare& m) {
  const auto record = find_queue(channel, m.queue);
  if (!record) return std::unexpected(record.error());
  return answer_declare(channel, *record, m.no_wait);
}

void delete_record(Channel& channel, const Record& record, uint32_t messages, bool no_wait) {
  channel.ask_catalog(broker::DeleteStream{record->id},
                      [&channel, record, messages, no_wait](broker::ActionBody& answer) -> Outcome {
                        const auto& done = std::get<broker::CatalogDone>(answer);
                        if (!done.result && done.result.error().code != base::ErrorCode::kNotFound) {
                          return std::unexpected(to_fault(done.result.error(), describe(*record)));
                        }
                        channel.answer(QueueDeleteOk{.message_count = messages}, no_wait);
                        return {};
                      });
}

// Binding to an exchange: what is there, and what is not yet.
Outcome check_binding(Channel& channel, std::string_view queue, std::string_view exchange) {
  if (exchange.empty()) {
    return refuse(ReplyCode::kAccessRefused, "operation not permitted on the default exchange");
  }
  if (const auto record = find_queue(channel, queue); !record) return std::unexpected(record.error());
  if (!is_known_exchange(exchange)) return std::unexpected(no_exchange(exchange));
  return {};
}

}  // namespace

Outcome on_queue_declare(Channel& channel, const QueueDeclare& m) {
  if (m.passive) return declare_passively(channel, m);
  Declaration wanted{.name = clean_name(m.queue),
                     .flags = {.durable = m.durable,
                               .exclusive = m.exclusive,
                               .auto_delete = m.auto_delete,
                               .server_named = m.queue.empty()},
                     .arguments = std::string(base::as_text(m.arguments)),
                     .no_wait = m.no_wait};
  if (wanted.flags.server_named) wanted.name = random_name(kServerNamePrefix);
  if (m.arguments.size() > base::limits::kArgumentsBytesMax || !is_valid_table(m.arguments)) {
    return refuse(ReplyCode::kSyntaxError, "cannot decode the arguments of queue.declare");
  }
  const auto choice = choose_queue_type(wanted.object(), wanted.table(), QueueType::kClassic);
  if (choice.error) return precondition(*choice.error);
  wanted.type = choice.type;
  const Record record = channel.session().broker().catalog().find(wanted.name);
  if (!record) return create(channel, std::move(wanted));
  if (Outcome outcome = check_equivalence(channel, wanted, *record); !outcome) return outcome;
  return answer_declare(channel, record, wanted.no_wait);
}

Outcome on_queue_delete(Channel& channel, const QueueDelete& m) {
  const auto name = queue_name(channel, m.queue);
  if (!name) return std::unexpected(name.error());
  const Record record = channel.session().broker().catalog().find(*name);
  if (!record) {
    channel.answer(QueueDeleteOk{.message_count = 0}, m.no_wait);
    return {};
  }
  if (is_locked(channel, *record)) return std::unexpected(locked_queue(*name));
  return ask_counts(channel, record,
                    [&channel, record, if_unused = m.if_unused, if_empty = m.if_empty,
                     no_wait = m.no_wait](QueueCounts counts) -> Outcome {
                      if (if_unused && counts.consumers > 0) return precondition(describe(*record) + " in use");
                      if (if_empty && counts.messages > 0) return precondition(describe(*record) + " not empty");
                      delete_record(channel, record, counts.messages, no_wait);
                      return {};
                    });
}

Outcome on_queue_purge(Channel& channel, const QueuePurge& m) {
  const auto found = find_queue(channel, m.queue);
  if (!found) return std::unexpected(found.error());
  const Record& record = *found;
  if (record->kind == broker::StreamKind::kStream) {
    return std::unexpected(not_implemented(fmt::format("queue.purge not supported by stream {}", describe(*record))));
  }
  channel.ask(record->partitions[0], broker::PurgeRequest{record->key()},
              [&channel, record, no_wait = m.no_wait](broker::ActionBody& answer) -> Outcome {
                const auto& count = std::get<broker::PurgeDone>(answer).count;
                if (!count) return std::unexpected(to_fault(count.error(), describe(*record)));
                channel.answer(QueuePurgeOk{.message_count = *count}, no_wait);
                return {};
              });
  return {};
}

Outcome on_queue_bind(Channel& channel, const QueueBind& m) {
  if (Outcome outcome = check_binding(channel, m.queue, m.exchange); !outcome) return outcome;
  return std::unexpected(not_implemented("binding queues: publish to the default exchange instead"));
}

Outcome on_queue_unbind(Channel& channel, const QueueUnbind& m) {
  if (m.exchange.empty()) return check_binding(channel, m.queue, m.exchange);
  channel.answer(QueueUnbindOk{});  // there is no such binding, and that is fine
  return {};
}

}  // namespace polylog::amqp
