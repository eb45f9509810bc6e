// What a client says in connection.start-ok to log in, by mechanism.
//
//   PLAIN      authorization id NUL user NUL password
//   AMQPLAIN   a field table without its length: LOGIN and PASSWORD
#pragma once

#include <optional>
#include <string_view>

#include "base/bytes.h"

namespace polylog::amqp {

inline constexpr std::string_view kMechanisms = "PLAIN AMQPLAIN";

struct Credentials {
  std::string_view user;
  std::string_view password;
};
// Nothing: the mechanism is not offered, or the response is not of its form.
std::optional<Credentials> parse_login(std::string_view mechanism, std::string_view response);

// The only user so far: guest, and only from this machine.
bool may_log_in(const Credentials& credentials, bool from_loopback);

}  // namespace polylog::amqp
