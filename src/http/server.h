// ServerConnection: an HTTP/1.1 server on one connection. Requests are answered in order, one at a time, by a callback
// that answers at once or later; until it has, the next request is not read.
//
// Keep-alive and pipelining work; while much output is queued, further pipelined requests wait. HEAD is passed on
// as it is; the response's body is then not sent. Wrong requests get 400, 413 or 431, as the refusal page renders it, and
// the connection closes; 404 and 405 are the callback's to give. An idle connection holds no buffers and is closed after
// kRequestTimeMax; a request that waits for its answer is not idle: whoever answers bounds that time.
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

class ServerConnection;

// Answers one request, once. Outlives the connection: then it does nothing.
class Responder {
 public:
  explicit Responder(std::weak_ptr<ServerConnection*> connection) : connection_(std::move(connection)) {}
  void operator()(const Response& response);

 private:
  std::weak_ptr<ServerConnection*> connection_;
};

using Answer = std::function<void(Request&& request, Responder respond)>;
using AnswerAtOnce = std::function<Response(const Request&)>;
Answer at_once(AnswerAtOnce answer);

using RefusalPage = Response (*)(const Refusal&);
Response plain_refusal(const Refusal& refusal);

class ServerConnection final : public io::Handler {
 public:
  ServerConnection(io::Loop& loop, Answer answer, RefusalPage refusal_page = plain_refusal);
  ~ServerConnection() override;

  void on_open(io::Connection& connection) override;
  Taken on_bytes(base::View bytes) override;
  void on_closed(std::string_view why) override;

 private:
  friend class Responder;
  size_t serve(base::View bytes);  // bytes consumed
  void ask_for_answer();
  void answered(const Response& response);
  void reply(const Response& response, bool keep_alive, bool with_body = true);
  void pause_for_a_turn();
  void watch_time();

  io::Loop& loop_;
  const Answer answer_;
  const RefusalPage refusal_page_;
  io::Connection* connection_ = nullptr;
  std::unique_ptr<RequestReader> reader_;  // only while a request is under way
  base::MonoTime request_deadline_;
  io::TimerId deadline_timer_;
  io::TimerId resume_timer_;
  // Set while a request waits for its answer: what its Responder holds on to.
  std::shared_ptr<ServerConnection*> waiting_;
  bool keep_alive_ = false;  // of that request
  bool with_body_ = true;
  bool paused_ = false;  // until it is answered
  bool closing_ = false;
};

}  // namespace polylog::http
