// Context: what a command that asks a broker works with.
#pragma once

#include <string>

#include "http/json/value.h"
#include "http/url.h"
#include "server/cli/arguments.h"
#include "server/cli/commands.h"
#include "server/cli/terminal/output.h"
#include "server/cli/verbs/admin_client.h"

namespace polylog::server {

struct Context {
  Arguments arguments;
  AdminClient client;
  bool json = false;  // --json

  // "/v1/streams/NAME", with the command's positional NAME.
  std::string path_of(std::string_view collection, std::string_view below = {}) const {
    return "/v1/" + std::string(collection) + '/' + http::percent_encode(arguments.text("NAME").value_or("")) +
           std::string(below);
  }
};

// A member of an answer; null where it is not there.
inline const http::Json& at(const http::Json& json, std::string_view name) {
  static const http::Json kNull;
  const http::Json* member = json.find(name);
  return member == nullptr ? kNull : *member;
}
// As a table shows it: "-" for null, yes and no.
std::string shown(const http::Json& value);
const http::Json::Array& items(const http::Json& json, std::string_view name);

// All of a list that comes in pages, as one answer.
base::Result<http::Json> get_all(Context& context, std::string path, std::string_view list);
void print_json(const http::Json& json);

}  // namespace polylog::server
