// AdminClient: asks a broker's admin API, and turns what goes wrong into one line that says what to do. Blocking.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "http/client.h"
#include "http/json/value.h"

namespace polylog::server {

class AdminClient {
 public:
  explicit AdminClient(std::string address) : address_(std::move(address)) {}

  // The answer's body. Errors, never kInvalid: kIo (no broker there, or it left), or what the broker said.
  base::Result<http::Json> get(std::string path, std::string query = {});
  base::Result<http::Json> send(std::string method, std::string path, std::string body = {});

 private:
  base::Result<http::Json> exchange(http::Request request);
  base::Result<> connect();

  std::string address_;
  std::optional<http::Client> client_;
  std::chrono::steady_clock::time_point last_used_;
};

}  // namespace polylog::server
