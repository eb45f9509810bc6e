#include "server/cli/verbs/admin_client.h"

#include <fmt/format.h>

namespace polylog::server {
namespace {

using base::ErrorCode;

constexpr base::Duration kPatience = std::chrono::seconds(100);  // more than the broker takes to give up
constexpr auto kIdleMax = std::chrono::seconds(30);              // less than the broker keeps an idle connection

ErrorCode code_of(int status) {
  switch (status) {
    case 404: return ErrorCode::kNotFound;
    case 409: return ErrorCode::kConflict;
    default: return ErrorCode::kIo;
  }
}

base::Result<http::Json> body_of(const http::Response& response, const std::string& address) {
  if (response.status == 204) return http::Json();
  auto json = response.content_type.starts_with("application/json") ? http::parse_json(response.body)
                                                                    : base::fail(ErrorCode::kMalformed);
  if (!json) {
    return base::fail(ErrorCode::kIo,
                      fmt::format("{} does not answer like polylog's admin listener (HTTP {}); is --admin right?",
                                  address, response.status));
  }
  if (response.status < 300) return json;
  const http::Json* error = json->find("error");
  const http::Json* message = error == nullptr ? nullptr : error->find("message");
  return base::fail(code_of(response.status),
                    message == nullptr ? fmt::format("HTTP {}", response.status) : message->plain());
}

}  // namespace

base::Result<> AdminClient::connect() {
  const auto now = std::chrono::steady_clock::now();
  if (client_ && now - last_used_ < kIdleMax) return {};
  client_.reset();
  const auto endpoint = io::parse_endpoint(address_);
  if (!endpoint) return base::fail(ErrorCode::kIo, fmt::format("--admin: {}", endpoint.error().text));
  auto client = http::Client::connect(*endpoint, kPatience);
  if (!client) {
    return base::fail(ErrorCode::kIo, fmt::format("cannot reach the broker's admin listener at {} ({}); is it running? "
                                                  "`polylog serve` starts one, --admin names another",
                                                  address_, client.error().text));
  }
  client_.emplace(std::move(*client));
  return {};
}

base::Result<http::Json> AdminClient::exchange(http::Request request) {
  TRY(connect());
  const auto response = client_->exchange(request);
  last_used_ = std::chrono::steady_clock::now();
  if (!response) {
    client_.reset();
    return base::fail(ErrorCode::kIo,
                      fmt::format("the broker at {} did not answer ({}); it is not known what became of "
                                  "the request",
                                  address_, response.error().text));
  }
  if (response->status == 400 || response->status == 413) client_.reset();  // the broker may close after these
  return body_of(*response, address_);
}

base::Result<http::Json> AdminClient::get(std::string path, std::string query) {
  return exchange({.method = "GET", .path = std::move(path), .query = std::move(query)});
}

base::Result<http::Json> AdminClient::send(std::string method, std::string path, std::string body) {
  http::Request request{.method = std::move(method), .path = std::move(path), .query = {}, .fields = {}};
  if (!body.empty()) request.fields.push_back({"Content-Type", "application/json"});
  request.body = std::move(body);
  return exchange(std::move(request));
}

}  // namespace polylog::server
