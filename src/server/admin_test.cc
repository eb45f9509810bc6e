#include "server/admin.h"

#include <doctest/doctest.h>

#include "http/test_connection.h"

namespace polylog::server {
namespace {

struct Fixture {
  AdminState state;
  std::string get(std::string_view path, std::string_view method = "GET") {
    http::TestConnection connection([this](io::Loop& loop) { return make_admin_session(loop, state); });
    connection.send(std::string(method) + ' ' + std::string(path) + " HTTP/1.1\r\nHost: h\r\n\r\n");
    return connection.take_output();
  }
};

TEST_CASE("admin: /healthz is ok from the start") {
  Fixture f;
  CHECK(f.get("/healthz").starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(f.get("/healthz").ends_with("\r\n\r\nok\n"));
}

TEST_CASE("admin: /readyz is 503 before the broker is ready and when a cell failed") {
  Fixture f;
  std::string trouble;
  f.state.trouble = [&trouble] { return trouble; };
  CHECK(f.get("/readyz").starts_with("HTTP/1.1 503 "));
  f.state.ready = true;
  CHECK(f.get("/readyz").starts_with("HTTP/1.1 200 "));
  trouble = "cell 3: sync failed";
  CHECK(f.get("/readyz").starts_with("HTTP/1.1 503 "));
  CHECK(f.get("/readyz").ends_with("\r\n\r\ncell 3: sync failed\n"));
}

TEST_CASE("admin: /metrics adds up the cores' registries after refreshing them") {
  Fixture f;
  base::Registry first, second;
  f.state.registries = {&first, &second};
  first.counter("polylog_things_total", "Things.").add(2);
  f.state.refresh_metrics = [&] { second.counter("polylog_things_total", "Things.").add(3); };
  const std::string output = f.get("/metrics");
  CHECK(output.find("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n") != std::string::npos);
  CHECK(output.find("\npolylog_things_total 5\n") != std::string::npos);
}

TEST_CASE("admin: the index names every path; others are 404, other methods 405") {
  Fixture f;
  for (const char* path : {"/healthz", "/readyz", "/metrics"}) CHECK(f.get("/").find(path) != std::string::npos);
  CHECK(f.get("/nope").starts_with("HTTP/1.1 404 "));
  CHECK(f.get("/metrics", "POST").starts_with("HTTP/1.1 405 "));
}

}  // namespace
}  // namespace polylog::server
