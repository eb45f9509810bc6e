#include "http/server.h"

#include <doctest/doctest.h>

#include "http/test_connection.h"

namespace polylog::http {
namespace {

Response echo(const Request& request) {
  if (request.path == "/big") return {.body = std::string(kQueuedBytesMax + 1, 'b')};
  if (request.path != "/echo") return plain(404);
  if (request.method == "DELETE") return method_not_allowed("GET, POST");
  return {.body = request.method + " " + request.query + " " + request.body};
}

struct Fixture : TestConnection {
  Fixture() : TestConnection([](io::Loop& loop) { return std::make_unique<ServerConnection>(loop, at_once(echo)); }) {}
};

std::string ok(std::string_view body, std::string_view connection = "keep-alive") {
  return "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\nConnection: " + std::string(connection) + "\r\n\r\n" + std::string(body);
}

constexpr std::string_view kPost = "POST /echo?a=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
constexpr std::string_view kChunked =
    "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n";

// A request whose header is `bytes` long, the empty line included.
std::string request_with_header_of(size_t bytes) {
  const std::string start = "GET /echo HTTP/1.1\r\nHost: h\r\nX: ";
  return start + std::string(bytes - start.size() - 4, 'x') + "\r\n\r\n";
}

TEST_CASE("http: answers a request and keeps the connection") {
  Fixture f;
  f.send(kPost);
  CHECK(f.take_output() == ok("POST a=1 hello"));
  f.send("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(f.take_output() == ok("GET  "));
  CHECK_FALSE(f.closing());
}

TEST_CASE("http: a stream of requests split at every byte gives the same answers") {
  const std::string stream = std::string(kPost) + std::string(kChunked) + std::string(kPost);
  const std::string expected = ok("POST a=1 hello") + ok("POST  hello") + ok("POST a=1 hello");
  for (size_t cut = 0; cut <= stream.size(); ++cut) {
    Fixture f;
    f.send(std::string_view(stream).substr(0, cut));
    f.send(std::string_view(stream).substr(cut));
    CHECK(f.take_output() == expected);
  }
  Fixture f;
  for (char c : stream) f.send({&c, 1});
  CHECK(f.take_output() == expected);
}

TEST_CASE("http: HEAD gets the header alone") {
  Fixture f;
  f.send("HEAD /echo HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string output = f.take_output();
  CHECK(output.find("Content-Length: 6\r\n") != std::string::npos);
  CHECK(output.ends_with("\r\n\r\n"));
}

TEST_CASE("http: closes when the request says so, and ignores what follows") {
  for (std::string_view request :
       {"GET /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "GET /echo HTTP/1.0\r\n\r\n"}) {
    Fixture f;
    f.send(std::string(request) + std::string(kPost));
    CHECK(f.take_output() == ok("GET  ", "close"));
    CHECK(f.closing());
  }
}

TEST_CASE("http: unknown paths and methods are the callback's 404 and 405, and the connection stays") {
  Fixture f;
  f.send("GET /nope HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(f.take_output().starts_with("HTTP/1.1 404 Not Found\r\n"));
  f.send("DELETE /echo HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string output = f.take_output();
  CHECK(output.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"));
  CHECK(output.find("\r\nAllow: GET, POST\r\n") != std::string::npos);
  CHECK_FALSE(f.closing());
}

TEST_CASE("http: malformed requests get 400 and the connection closes") {
  for (std::string_view request : {
           "\x16\x03\x01\r\n\r\n",
           "GET\r\n\r\n",
           "GET /echo HTTP/9.9\r\nHost: h\r\n\r\n",
           "GET /echo HTTP/1.1\r\n\r\n",
           "GET /echo HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n",
           "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
           "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
           "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
           "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
       }) {
    CAPTURE(request);
    Fixture f;
    f.send(request);
    CHECK(f.take_output().starts_with("HTTP/1.1 400 Bad Request\r\n"));
    CHECK(f.closing());
  }
}

TEST_CASE("http: a header of 16 KiB passes, one byte more does not") {
  Fixture at;
  at.send(request_with_header_of(kHeaderBytesMax));
  CHECK(at.take_output() == ok("GET  "));
  Fixture past;
  past.send(request_with_header_of(kHeaderBytesMax + 1));
  CHECK(past.take_output().starts_with("HTTP/1.1 431 "));
  CHECK(past.closing());
  Fixture endless;
  for (size_t i = 0; i < kHeaderBytesMax / 16 && !endless.closing(); ++i) endless.send("xxxxxxxxxxxxxxxx");
  CHECK(endless.take_output().starts_with("HTTP/1.1 431 "));
}

TEST_CASE("http: a body of 1 MiB passes, one byte more gets 413") {
  const auto post = [](size_t bytes) {
    return "POST /nope HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(bytes) + "\r\n\r\n";
  };
  Fixture at;
  at.send(post(kBodyBytesMax) + std::string(kBodyBytesMax, 'x'));
  CHECK(at.take_output().starts_with("HTTP/1.1 404 "));
  Fixture past;
  past.send(post(kBodyBytesMax + 1));
  CHECK(past.take_output().starts_with("HTTP/1.1 413 "));
  CHECK(past.closing());
  Fixture chunked;
  chunked.send("POST /nope HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 3 && !chunked.closing(); ++i) chunked.send("80000\r\n" + std::string(0x80000, 'x') + "\r\n");
  CHECK(chunked.take_output().starts_with("HTTP/1.1 413 "));
}

TEST_CASE("http: says 100 Continue before the body, once") {
  Fixture f;
  f.send("POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  CHECK(f.take_output() == "HTTP/1.1 100 Continue\r\n\r\n");
  f.send("h");
  CHECK(f.take_output().empty());
  f.send("i");
  CHECK(f.take_output() == ok("POST  hi"));
}

TEST_CASE("http: pipelined requests wait while output is queued, and none is lost") {
  Fixture f;
  std::string stream;
  for (int i = 0; i < 20; ++i) stream += "GET /big HTTP/1.1\r\nHost: h\r\n\r\n";
  f.send(stream + std::string(kPost));
  CHECK(f.queued_bytes_peak() < 2 * kQueuedBytesMax);
  std::string output;
  for (int i = 0; i < 100; ++i) {
    output += f.take_output();
    f.run_for(std::chrono::milliseconds(1));
  }
  CHECK(output.size() == 20 * ok(std::string(kQueuedBytesMax + 1, 'b')).size() + ok("POST a=1 hello").size());
  CHECK(output.ends_with(ok("POST a=1 hello")));
  CHECK(f.queued_bytes_peak() < 2 * kQueuedBytesMax);
}

TEST_CASE("http: a connection without a whole request for a minute is closed, a busy one is not") {
  Fixture f;
  for (int i = 0; i < 5; ++i) {
    f.send(kPost);
    f.run_for(kRequestTimeMax - std::chrono::seconds(1));
    CHECK_FALSE(f.closed());
  }
  f.send("GET /echo HTT");
  f.run_for(std::chrono::seconds(2));
  CHECK(f.closed());
}

// Keeps the responders, and answers when told to.
struct SlowFixture {
  std::vector<Responder> waiting;
  std::vector<std::string> asked;
  TestConnection connection{[this](io::Loop& loop) {
    return std::make_unique<ServerConnection>(
        loop,
        [this](Request&& request, Responder respond) {
          asked.push_back(request.path);
          waiting.push_back(respond);
        },
        [](const Refusal& refusal) { return Response{.status = refusal.status, .body = "no: " + refusal.text}; });
  }};
};

TEST_CASE("http: an answer that comes later keeps its place, and the next request waits for it") {
  SlowFixture f;
  f.connection.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(f.asked == std::vector<std::string>{"/a"});
  CHECK(f.connection.take_output().empty());
  f.waiting[0]({.body = "first"});
  CHECK(f.connection.take_output() == ok("first"));
  REQUIRE(f.asked == std::vector<std::string>{"/a", "/b"});
  f.waiting[0]({.body = "again"});
  CHECK(f.connection.take_output().empty());
  f.waiting[1]({.body = "second"});
  CHECK(f.connection.take_output() == ok("second"));
}

TEST_CASE("http: who waits for an answer is not idle, and is forgotten when it leaves") {
  SlowFixture f;
  f.connection.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  f.connection.run_for(3 * kRequestTimeMax);
  CHECK_FALSE(f.connection.closed());
  f.waiting[0]({.body = "late"});
  CHECK(f.connection.take_output() == ok("late"));
  f.connection.send("GET /b HTTP/1.1\r\nHost: h\r\n\r\n");
  f.connection.close_now();
  f.waiting[1]({.body = "to nobody"});
  CHECK(f.connection.take_output().empty());
}

TEST_CASE("http: refusals are rendered as the server's owner has it") {
  SlowFixture f;
  f.connection.send("GET\r\n\r\n");
  const std::string output = f.connection.take_output();
  CHECK(output.starts_with("HTTP/1.1 400 "));
  CHECK(output.find("\r\n\r\nno: not a valid") != std::string::npos);
}

}  // namespace
}  // namespace polylog::http
