// Base64 as RFC 4648, section 4, has it: with '+', '/' and padding. What decodes encodes back to the same text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace polylog::http {

std::string encode_base64(std::string_view bytes);
std::optional<std::string> decode_base64(std::string_view text);  // nothing: not base64

}  // namespace polylog::http
