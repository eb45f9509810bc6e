// How records are written to standard output, and read from lines.
#pragma once

#include <string>

#include "http/json/value.h"
#include "http/json/writer.h"
#include "server/cli/arguments.h"

namespace polylog::server {

enum class RecordFormat : uint8_t { kValue, kKeyed, kJson };
// --format, or JSON when --json was given.
base::Result<RecordFormat> format_of(const Arguments& arguments, bool json);

// One line: the bytes as they are, or printable() of them for a terminal. kTooLarge: the broker does not show them.
base::Result<std::string> line_of(const http::Json& record, RecordFormat format, bool for_terminal);

// Text, or {"base64": ...} where the bytes are no text.
void put_text_or_base64(http::JsonWriter& out, std::string_view bytes);

}  // namespace polylog::server
