// The pages that are no JSON, and the index of the API.
#include <fmt/format.h>

#include "server/admin/routes.h"
#include "server/version.h"

namespace polylog::server {

Task<Response> page_index(Call&) {
  std::string text = fmt::format("polylog {}\n", kVersion);
  for (const Route& route : routes()) text += fmt::format("{:7}{:30} {}\n", route.method, route.path, route.help);
  co_return http::plain(200, std::move(text));
}

Task<Response> page_health(Call&) { co_return http::plain(200, "ok"); }

Task<Response> page_ready(Call& call) {
  if (!call.state.ready.load(std::memory_order_acquire)) co_return http::plain(503, "not ready");
  const std::string trouble = call.state.trouble ? call.state.trouble() : std::string();
  co_return trouble.empty() ? http::plain(200, "ready") : http::plain(503, trouble);
}

Task<Response> page_metrics(Call& call) {
  if (call.state.refresh_metrics) call.state.refresh_metrics();
  co_return Response{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                     .body = base::Registry::render(call.state.registries)};
}

Task<Response> api_index(Call&) {
  http::JsonWriter out;
  out.begin_object().field("version", kVersion).key("routes").begin_array();
  for (const Route& route : routes()) {
    out.begin_object().field("method", route.method).field("path", route.path).field("help", route.help).end_object();
  }
  out.end_array().end_object();
  co_return json_response(out);
}

}  // namespace polylog::server
