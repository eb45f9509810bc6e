#include "protocol/amqp/login.h"

#include "protocol/amqp/field_table.h"

namespace polylog::amqp {
namespace {

constexpr std::string_view kGuest = "guest";

std::optional<Credentials> parse_plain(std::string_view response) {
  const size_t user_at = response.find('\0');
  if (user_at == std::string_view::npos) return std::nullopt;
  const size_t password_at = response.find('\0', user_at + 1);
  if (password_at == std::string_view::npos) return std::nullopt;
  return Credentials{response.substr(user_at + 1, password_at - user_at - 1), response.substr(password_at + 1)};
}

std::optional<Credentials> parse_amqplain(std::string_view response) {
  const base::View table = base::as_view(response);
  if (!is_valid_table(table)) return std::nullopt;
  const auto user = find(table, "LOGIN"), password = find(table, "PASSWORD");
  if (!user || !user->is_text() || !password || !password->is_text()) return std::nullopt;
  return Credentials{user->text(), password->text()};
}

}  // namespace

std::optional<Credentials> parse_login(std::string_view mechanism, std::string_view response) {
  if (mechanism == "PLAIN") return parse_plain(response);
  if (mechanism == "AMQPLAIN") return parse_amqplain(response);
  return std::nullopt;
}

bool may_log_in(const Credentials& credentials, bool from_loopback) {
  return from_loopback && credentials.user == kGuest && credentials.password == kGuest;
}

}  // namespace polylog::amqp
