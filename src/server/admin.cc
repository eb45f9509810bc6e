#include "server/admin.h"

#include "http/server.h"
#include "server/version.h"

namespace polylog::server {

namespace {

using http::Response;

Response index(const AdminState&);

Response healthz(const AdminState&) { return http::plain(200, "ok"); }

Response readyz(const AdminState& state) {
  if (!state.ready.load(std::memory_order_acquire)) return http::plain(503, "not ready");
  const std::string trouble = state.trouble ? state.trouble() : std::string();
  return trouble.empty() ? http::plain(200, "ready") : http::plain(503, trouble);
}

Response metrics(const AdminState& state) {
  if (state.refresh_metrics) state.refresh_metrics();
  return {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = base::Registry::render(state.registries)};
}

struct Route {
  std::string_view path;
  Response (*answer)(const AdminState&);
  std::string_view help;
};
constexpr Route kRoutes[] = {
    {"/", index, "this page"},
    {"/healthz", healthz, "200 while the process answers"},
    {"/readyz", readyz, "200 when clients may connect, else 503 with the reasons"},
    {"/metrics", metrics, "metrics, Prometheus text"},
};

Response index(const AdminState&) {
  std::string text = "polylog " + std::string(kVersion) + '\n';
  for (const Route& route : kRoutes) {
    std::string path(route.path);
    path.resize(10, ' ');
    text += "GET " + path;
    text += route.help;
    text += '\n';
  }
  return http::plain(200, std::move(text));
}

Response answer(const AdminState& state, const http::Request& request) {
  for (const Route& route : kRoutes) {
    if (route.path != request.path) continue;
    if (request.method != "GET" && request.method != "HEAD") return http::method_not_allowed("GET, HEAD");
    return route.answer(state);
  }
  return http::plain(404, "not found; / lists what there is");
}

}  // namespace

std::unique_ptr<io::Handler> make_admin_session(io::Loop& loop, const AdminState& state) {
  return std::make_unique<http::ServerConnection>(
      loop, [&state](const http::Request& request) { return answer(state, request); });
}

}  // namespace polylog::server
