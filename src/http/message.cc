#include "http/message.h"

#include <strings.h>

#include <boost/beast/http/status.hpp>
#include <ostream>

namespace polylog::http {

const std::string* Request::find(std::string_view name) const {
  for (const Field& field : fields) {
    if (field.name.size() == name.size() && strncasecmp(field.name.data(), name.data(), name.size()) == 0) {
      return &field.value;
    }
  }
  return nullptr;
}

std::string_view reason_of(int status) {
  const auto reason =
      boost::beast::http::obsolete_reason(boost::beast::http::int_to_status(static_cast<unsigned>(status)));
  return {reason.data(), reason.size()};
}

Response plain(int status, std::string text) {
  if (text.empty()) text = reason_of(status);
  if (!text.ends_with('\n')) text += '\n';
  return {.status = status, .body = std::move(text)};
}

Response method_not_allowed(std::string allowed) {
  Response response = plain(405, "method not allowed; use " + allowed);
  response.fields.push_back({"Allow", std::move(allowed)});
  return response;
}

}  // namespace polylog::http
