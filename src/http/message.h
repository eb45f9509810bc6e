// HTTP requests and responses as the handlers of polylog's HTTP protocols see them: plain structs, whole bodies.
// Not for: streaming bodies, trailers, cookies, URL decoding.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"

namespace polylog::http {

inline constexpr size_t kHeaderBytesMax = 16 * base::limits::kKiB;  // request line and fields; past it 431
inline constexpr size_t kBodyBytesMax = 1 * base::limits::kMiB;     // of a request; past it 413

struct Field {
  std::string name;
  std::string value;
};

struct Request {
  std::string method;  // as sent: "GET"
  std::string path;    // up to the '?'
  std::string query;   // behind it, as sent
  std::vector<Field> fields;
  std::string body;

  const std::string* find(
      std::string_view name) const;  // the first field of that name, in any case; null if there is none
};

struct Response {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::vector<Field> fields = {};  // Content-Length and Connection are the server's business
  std::string body = {};
};

// Why a request gets no answer of its own: what its status and the error's text are.
struct Refusal {
  int status = 400;
  std::string text;
};

std::string_view reason_of(int status);             // 404: "Not Found"
Response plain(int status, std::string text = {});  // no text: the reason
Response method_not_allowed(std::string allowed);   // 405 with Allow

}  // namespace polylog::http
