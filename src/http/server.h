// ServerConnection: an HTTP/1.1 server on one connection. Requests are answered in order, one at a time, by a callback
// that returns the whole response at once.
//
// Keep-alive and pipelining work; while much output is queued, further pipelined requests wait. HEAD is passed on
// as it is; the response's body is then not sent. Wrong requests get 400, 413 or 431 and the connection closes; 404 and
// 405 are the callback's to give. An idle connection holds no buffers and is closed after kRequestTimeMax.
// Not for: streaming, upgrades, TLS.
#pragma once

#include <functional>
#include <memory>

#include "http/message.h"
#include "io/loop.h"
#include "io/net.h"

namespace polylog::http {

class RequestReader;

// The time between one request's end (or the connection's start) and the next one's.
inline constexpr base::Duration kRequestTimeMax = std::chrono::seconds(60);
inline constexpr size_t kQueuedBytesMax = 1 * base::limits::kMiB;  // pipelined requests wait while more is queued

using Answer = std::function<Response(const Request&)>;

class ServerConnection final : public io::Handler {
 public:
  ServerConnection(io::Loop& loop, Answer answer);
  ~ServerConnection() override;

  void on_open(io::Connection& connection) override;
  Taken on_bytes(base::View bytes) override;
  void on_closed(std::string_view why) override;

 private:
  size_t serve(base::View bytes);  // bytes consumed
  void reply(const Response& response, bool keep_alive, bool with_body = true);
  void pause_for_a_turn();
  void watch_time();

  io::Loop& loop_;
  const Answer answer_;
  io::Connection* connection_ = nullptr;
  std::unique_ptr<RequestReader> reader_;  // only while a request is under way
  base::MonoTime request_deadline_;
  io::TimerId deadline_timer_;
  io::TimerId resume_timer_;
  bool closing_ = false;
};

}  // namespace polylog::http
