// What is well-formed UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing past U+10FFFF.
#pragma once

#include <cstddef>
#include <string_view>

namespace polylog::base {

// Bytes of the character that `text` begins with; 0 when it begins with none.
size_t utf8_char_bytes(std::string_view text);
bool is_utf8(std::string_view text);

}  // namespace polylog::base
