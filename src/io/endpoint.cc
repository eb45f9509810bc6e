#include <charconv>

#include "io/net.h"

namespace polylog::io {

base::Result<Endpoint> parse_endpoint(std::string_view text) {
  const auto bad = [&](const char* why) {
    return base::fail(base::ErrorCode::kInvalid, "address '" + std::string(text) + "': " + why +
                                                     "; write host:port, for example 127.0.0.1:9092 or [::1]:9092");
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad("has no port");
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (host.starts_with('[')) {
    if (!host.ends_with(']')) return bad("has no ']' before the port");
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad("an IPv6 address needs brackets");
  }
  if (host.empty()) return bad("has no host");
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc{} || end != digits.data() + digits.size()) return bad("the port is not a number below 65536");
  return Endpoint{std::string(host), port};
}

}  // namespace polylog::io
