// The parts of a request's target, decoded: path segments and query parameters (RFC 3986; '+' stays '+').
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace polylog::http {

std::string percent_encode(std::string_view text);                 // all but letters, digits and -._~
std::optional<std::string> percent_decode(std::string_view text);  // nothing: a '%' without two hex digits

// "/v1/streams/a%2Fb" is {"v1", "streams", "a/b"}. Nothing: malformed, or not from the root.
std::optional<std::vector<std::string>> path_segments(std::string_view path);

using QueryParameters = std::vector<std::pair<std::string, std::string>>;
std::optional<QueryParameters> query_parameters(std::string_view query);  // nothing: malformed

}  // namespace polylog::http
