#include "http/client.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <cerrno>
#include <cstring>

namespace polylog::http {
namespace {

namespace beast = boost::beast;
using base::ErrorCode;

std::string text_of(beast::string_view text) { return {text.data(), text.size()}; }

// Puts what Beast finds into our Response.
class Parser final : public beast::http::basic_parser<false> {
 public:
  Parser(bool head_only, size_t body_bytes_max) {
    header_limit(kHeaderBytesMax);
    body_limit(body_bytes_max);
    skip(head_only);
  }
  Response response;

 private:
  using Error = beast::error_code;

  void on_response_impl(int status, beast::string_view, int, Error&) override { response.status = status; }
  void on_field_impl(beast::http::field field, beast::string_view name, beast::string_view value, Error&) override {
    if (field == beast::http::field::content_type) response.content_type = text_of(value);
    response.fields.push_back({text_of(name), text_of(value)});
  }
  size_t on_body_impl(beast::string_view body, Error&) override {
    response.body.append(body.data(), body.size());
    return body.size();
  }
  size_t on_chunk_body_impl(uint64_t, beast::string_view body, Error&) override {
    response.body.append(body.data(), body.size());
    return body.size();
  }
  void on_request_impl(beast::http::verb, beast::string_view, beast::string_view, int, Error&) override {}
  void on_header_impl(Error&) override {}
  void on_body_init_impl(const boost::optional<uint64_t>&, Error&) override {}
  void on_chunk_header_impl(uint64_t, beast::string_view, Error&) override {}
  void on_finish_impl(Error&) override {}
};

std::unexpected<base::Error> system_error(const char* what) {
  const int code = errno;
  const bool late = code == EAGAIN || code == EINPROGRESS;
  return base::fail(late ? ErrorCode::kTimeout : ErrorCode::kIo,
                    std::string(what) + ": " + (late ? "no answer in time" : std::strerror(code)));
}

// Kernel timeouts bound connect() as well.
void set_options(int socket, base::Duration timeout) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(timeout).count();
  const timeval limit{.tv_sec = us / 1'000'000, .tv_usec = us % 1'000'000};
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

std::string host_field_of(const io::Endpoint& peer) {
  const bool brackets = peer.host.find(':') != std::string::npos;
  return (brackets ? '[' + peer.host + ']' : peer.host) + ':' + std::to_string(peer.port);
}

std::string head_of(const Request& request, const std::string& host) {
  std::string head = request.method + ' ' + request.path + (request.query.empty() ? "" : "?" + request.query);
  head += " HTTP/1.1\r\nHost: " + host + "\r\n";
  for (const Field& field : request.fields) head += field.name + ": " + field.value + "\r\n";
  if (!request.body.empty()) head += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  return head + "\r\n";
}

}  // namespace

base::Result<Client> Client::connect(const io::Endpoint& peer, base::Duration timeout, size_t response_bytes_max) {
  const std::string port = std::to_string(peer.port);
  const addrinfo hints{.ai_socktype = SOCK_STREAM};
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(peer.host.c_str(), port.c_str(), &hints, &found); error != 0) {
    return base::fail(ErrorCode::kIo, peer.host + ": " + gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, freeaddrinfo);
  std::unexpected<base::Error> last = base::fail(ErrorCode::kIo, peer.host + ": no address");
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    const int socket = ::socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
    if (socket < 0) continue;
    set_options(socket, timeout);
    if (::connect(socket, at->ai_addr, at->ai_addrlen) == 0)
      return Client(socket, host_field_of(peer), response_bytes_max);
    last = system_error("connect");
    close(socket);
  }
  return last;
}

Client::Client(Client&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)),
      host_(std::move(other.host_)),
      response_bytes_max_(other.response_bytes_max_) {}

Client::~Client() {
  if (socket_ >= 0) close(socket_);
}

base::Result<> Client::send_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return system_error("send");
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return {};
}

base::Result<Response> Client::exchange(const Request& request) {
  TRY(send_all(head_of(request, host_)));
  TRY(send_all(request.body));
  Parser parser(request.method == "HEAD", response_bytes_max_);
  std::string unread;
  std::array<char, 65536> buffer;
  while (!parser.is_done()) {
    const ssize_t got = recv(socket_, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("receive");
    if (got == 0) return base::fail(ErrorCode::kIo, "the peer closed the connection before it answered");
    unread.append(buffer.data(), static_cast<size_t>(got));
    while (!unread.empty() && !parser.is_done()) {
      beast::error_code error;
      const size_t taken = parser.put(boost::asio::buffer(unread), error);
      unread.erase(0, taken);
      if (error == beast::http::error::need_more || (!error && taken == 0)) break;
      if (error == beast::http::error::body_limit) return base::fail(ErrorCode::kTooLarge, "the answer is too long");
      if (error) return base::fail(ErrorCode::kMalformed, "the answer is not HTTP/1.1: " + error.message());
    }
  }
  return std::move(parser.response);
}

}  // namespace polylog::http
