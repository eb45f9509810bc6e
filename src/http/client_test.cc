#include "http/client.h"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string_view>
#include <thread>

namespace polylog::http {
namespace {

// A peer that takes one connection, and for each text of its script waits for a request and sends that text.
class ScriptedPeer {
 public:
  explicit ScriptedPeer(std::vector<std::string> script) {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(listen(listener_, 1) == 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    endpoint = {"127.0.0.1", ntohs(address.sin_port)};
    thread_ = std::jthread([this, script = std::move(script)] { run(script); });
  }
  ~ScriptedPeer() {
    thread_.join();
    close(listener_);
  }
  io::Endpoint endpoint;
  std::string received;  // after the client left

 private:
  void run(const std::vector<std::string>& script) {
    const int peer = accept(listener_, nullptr, nullptr);
    char buffer[4096];
    for (const std::string& answer : script) {
      const ssize_t got = recv(peer, buffer, sizeof buffer, 0);
      if (got > 0) received.append(buffer, static_cast<size_t>(got));
      send(peer, answer.data(), answer.size(), MSG_NOSIGNAL);
    }
    shutdown(peer, SHUT_WR);
    while (recv(peer, buffer, sizeof buffer, 0) > 0) {
    }
    close(peer);
  }
  int listener_;
  std::jthread thread_;
};

constexpr base::Duration kPatience = std::chrono::seconds(10);

TEST_CASE("http client: requests and responses on one connection") {
  ScriptedPeer peer({"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
                     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                     "HTTP/1.1 204 No Content\r\n\r\n"});
  {
    auto client = Client::connect(peer.endpoint, kPatience);
    REQUIRE(client);
    const auto first = client->exchange({.method = "GET", .path = "/a", .query = "x=1"});
    REQUIRE(first);
    CHECK(first->status == 404);
    CHECK(first->content_type == "application/json");
    CHECK(first->body == "{}");
    CHECK(client->exchange({.method = "GET", .path = "/b"})->body == "abc");
    CHECK(client->exchange({.method = "DELETE", .path = "/c"})->status == 204);
  }
  CHECK(peer.received.starts_with("GET /a?x=1 HTTP/1.1\r\nHost: 127.0.0.1:"));
}

TEST_CASE("http client: a peer that leaves or does not speak HTTP is an error") {
  for (const auto& [answer, code] :
       {std::pair{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", base::ErrorCode::kIo},
        std::pair{"", base::ErrorCode::kIo}, std::pair{"+PONG\r\n\r\n", base::ErrorCode::kMalformed}}) {
    ScriptedPeer peer({answer});
    auto client = Client::connect(peer.endpoint, kPatience);
    REQUIRE(client);
    const auto response = client->exchange({.method = "GET", .path = "/"});
    REQUIRE_FALSE(response);
    CHECK(response.error().code == code);
  }
}

TEST_CASE("http client: an answer at the limit is read, one byte more is not") {
  constexpr size_t kLimit = 1000;
  for (const size_t bytes : {kLimit, kLimit + 1}) {
    ScriptedPeer peer(
        {"HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(bytes) + "\r\n\r\n" + std::string(bytes, 'x')});
    auto client = Client::connect(peer.endpoint, kPatience, kLimit);
    REQUIRE(client);
    const auto response = client->exchange({.method = "GET", .path = "/"});
    CHECK(response.has_value() == (bytes == kLimit));
    if (!response) CHECK(response.error().code == base::ErrorCode::kTooLarge);
  }
}

TEST_CASE("http client: nobody there, and no such host") {
  io::Endpoint gone;
  {
    ScriptedPeer peer({});
    gone = peer.endpoint;
    CHECK(Client::connect(gone, kPatience));
  }
  const auto refused = Client::connect(gone, kPatience);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == base::ErrorCode::kIo);
  CHECK_FALSE(Client::connect({"no such host", 1}, kPatience));
}

}  // namespace
}  // namespace polylog::http
