#include "protocol/amqp/login.h"

#include <doctest/doctest.h>

#include "protocol/amqp/field_table.h"

namespace polylog::amqp {
namespace {

TEST_CASE("login: PLAIN and AMQPLAIN name user and password") {
  using namespace std::string_view_literals;
  const auto plain = parse_login("PLAIN", "\0guest\0secret"sv);
  REQUIRE(plain.has_value());
  CHECK(plain->user == "guest");
  CHECK(plain->password == "secret");

  base::Writer bytes;
  TableWriter table(bytes);
  table.put_text("LOGIN", "guest");
  table.put_text("PASSWORD", "secret");
  const auto amqplain = parse_login("AMQPLAIN", base::as_text(bytes.view()));
  REQUIRE(amqplain.has_value());
  CHECK(amqplain->user == "guest");
  CHECK(amqplain->password == "secret");
}

TEST_CASE("login: other mechanisms and shapes are refused") {
  using namespace std::string_view_literals;
  CHECK_FALSE(parse_login("EXTERNAL", "").has_value());
  CHECK_FALSE(parse_login("PLAIN", "").has_value());
  CHECK_FALSE(parse_login("PLAIN", "\0guest"sv).has_value());
  CHECK_FALSE(parse_login("AMQPLAIN", "\x05LOGIN").has_value());
}

TEST_CASE("login: guest only, and only from this machine") {
  CHECK(may_log_in({"guest", "guest"}, true));
  CHECK_FALSE(may_log_in({"guest", "guest"}, false));
  CHECK_FALSE(may_log_in({"guest", "wrong"}, true));
  CHECK_FALSE(may_log_in({"admin", "guest"}, true));
}

}  // namespace
}  // namespace polylog::amqp
