#include "server/admin/routes.h"

#include <algorithm>
#include <optional>

namespace polylog::server {
namespace {

constexpr Route kRoutes[] = {
    {"GET", "/", page_index, "this page"},
    {"GET", "/healthz", page_health, "200 while the process answers"},
    {"GET", "/readyz", page_ready, "200 when clients may connect, else 503 with the reasons"},
    {"GET", "/metrics", page_metrics, "metrics, Prometheus text"},
    {"GET", "/v1", api_index, "this list, as JSON"},
    {"GET", "/v1/streams", list_streams, "all streams"},
    {"POST", "/v1/streams", create_stream, "create a stream"},
    {"GET", "/v1/streams/{stream}", get_stream, "a stream, its settings and partitions"},
    {"PATCH", "/v1/streams/{stream}", alter_stream, "change settings, add partitions"},
    {"DELETE", "/v1/streams/{stream}", delete_stream, "delete a stream and all its records"},
    {"GET", "/v1/streams/{stream}/records", read_records, "read records, or wait for some"},
    {"POST", "/v1/streams/{stream}/records", produce_records, "append records"},
    {"GET", "/v1/queues", list_queues, "all queues with their counts"},
    {"GET", "/v1/queues/{queue}", get_queue, "a queue"},
    {"DELETE", "/v1/queues/{queue}", delete_queue, "delete a queue and all its messages"},
    {"GET", "/v1/queues/{queue}/messages", peek_queue, "look at ready messages without taking them"},
    {"DELETE", "/v1/queues/{queue}/messages", purge_queue, "drop all ready messages"},
    {"GET", "/v1/groups", list_groups, "all consumer groups"},
    {"GET", "/v1/groups/{group}", get_group, "a group's members and offsets, with lag"},
    {"DELETE", "/v1/groups/{group}", delete_group, "delete a group without members"},
    {"PUT", "/v1/groups/{group}/offsets", reset_group, "move the offsets of a group without members"},
    {"GET", "/v1/connections", list_connections, "open connections by protocol"},
    {"GET", "/v1/cells", list_cells, "the cells and how they fare"},
    {"GET", "/v1/status", get_status, "version, uptime, disk, memory"},
    {"GET", "/v1/config", get_config, "every setting in force, and where it came from"},
};

bool is_placeholder(std::string_view segment) { return segment.starts_with('{'); }

// The names that stand for the placeholders; nothing: another path.
std::optional<std::vector<std::string>> match(std::string_view pattern, const std::vector<std::string>& segments) {
  const auto wanted = *http::path_segments(pattern);
  if (wanted.size() != segments.size()) return std::nullopt;
  std::vector<std::string> names;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (is_placeholder(wanted[i])) {
      names.push_back(segments[i]);
    } else if (wanted[i] != segments[i]) {
      return std::nullopt;
    }
  }
  return names;
}

Response wrong_method(std::string allowed) {
  Response response = refuse(405, "method_not_allowed", "this path takes " + allowed);
  response.fields.push_back({"Allow", std::move(allowed)});
  return response;
}

bool has_json_body(const http::Request& request) {
  const std::string* type = request.find("Content-Type");
  return type != nullptr && type->starts_with("application/json");
}

// A page of some web site must not use a browser on this machine to change things: browsers name the page's origin, and
// ask first before they send JSON.
std::optional<Response> check(const http::Request& request) {
  if (request.method != "GET" && request.find("Origin") != nullptr) {
    return refuse(403, "not_allowed", "requests from web pages change nothing here");
  }
  if (!request.body.empty() && !has_json_body(request)) {
    return refuse(415, "unsupported_media_type", "send the body as application/json");
  }
  return std::nullopt;
}

}  // namespace

std::span<const Route> routes() { return kRoutes; }

const Route* find_route(Call& call, Response& refusal) {
  const auto segments = http::path_segments(call.request.path);
  auto query = http::query_parameters(call.request.query);
  if (!segments || !query) {
    refusal = refuse(400, "invalid", "the path or the query is not percent-encoded properly");
    return nullptr;
  }
  const std::string method = call.request.method == "HEAD" ? "GET" : call.request.method;
  std::string allowed;
  for (const Route& route : kRoutes) {
    auto names = match(route.path, *segments);
    if (!names) continue;
    if (route.method != method) {
      allowed += (allowed.empty() ? "" : ", ") + std::string(route.method);
      continue;
    }
    if (auto wrong = check(call.request)) {
      refusal = std::move(*wrong);
      return nullptr;
    }
    call.names = std::move(*names);
    call.query = std::move(*query);
    return &route;
  }
  refusal = allowed.empty() ? refuse(404, "not_found", "there is no such path; / and /v1 list what there is")
                            : wrong_method(std::move(allowed));
  return nullptr;
}

}  // namespace polylog::server
