// Fault: why a method is refused, and with that the fate of its channel or connection (error_codes.h: soft or hard).
// And the one table from the engine's errors to reply codes.
#pragma once

#include <expected>
#include <string>

#include "base/result.h"
#include "protocol/amqp/error_codes.h"

namespace polylog::amqp {

struct Fault {
  ReplyCode code;
  std::string reason;  // goes behind the code's name: "NOT_FOUND - no queue ..."
  bool hard = false;   // closes the connection although its code alone would not
  bool closes_connection() const { return hard || is_hard(code); }
};
using Outcome = std::expected<void, Fault>;

inline std::unexpected<Fault> refuse(ReplyCode code, std::string reason) {
  return std::unexpected(Fault{code, std::move(reason)});
}

// `object` says what failed, e.g. queue 'q' in vhost '/'.
Fault to_fault(const base::Error& error, std::string_view object);

// What frameworks match on.
Fault no_queue(std::string_view name);
Fault no_exchange(std::string_view name);
Fault locked_queue(std::string_view name);
Fault not_implemented(std::string_view what);

}  // namespace polylog::amqp
