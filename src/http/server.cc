#include "http/server.h"

#include "http/request_reader.h"

namespace polylog::http {

void Responder::operator()(const Response& response) {
  if (const auto connection = connection_.lock()) (*connection)->answered(response);
}

Answer at_once(AnswerAtOnce answer) {
  return [answer = std::move(answer)](const Request& request, Responder respond) { respond(answer(request)); };
}

Response plain_refusal(const Refusal& refusal) { return plain(refusal.status, refusal.text); }

ServerConnection::ServerConnection(io::Loop& loop, Answer answer, RefusalPage refusal_page)
    : loop_(loop), answer_(std::move(answer)), refusal_page_(refusal_page) {}
ServerConnection::~ServerConnection() = default;

void ServerConnection::on_open(io::Connection& connection) {
  connection_ = &connection;
  request_deadline_ = loop_.now() + kRequestTimeMax;
  watch_time();
}

void ServerConnection::on_closed(std::string_view) {
  loop_.cancel(deadline_timer_);
  loop_.cancel(resume_timer_);
  waiting_.reset();
  connection_ = nullptr;
}

// The timer is set once for many requests: a deadline that moved is looked at again when the old one has come.
void ServerConnection::watch_time() {
  deadline_timer_ = loop_.call_at(request_deadline_, [this] {
    deadline_timer_ = {};
    if (waiting_ != nullptr) request_deadline_ = loop_.now() + kRequestTimeMax;
    if (loop_.now() < request_deadline_) return watch_time();
    connection_->close_now();
  });
}

io::Handler::Taken ServerConnection::on_bytes(base::View bytes) {
  size_t at = 0;
  while (at < bytes.size() && !closing_ && waiting_ == nullptr) {
    if (connection_->out().queued_bytes() > kQueuedBytesMax) {
      pause_for_a_turn();
      break;
    }
    const size_t consumed = serve(bytes.subspan(at));
    at += consumed;
    if (reader_ != nullptr) break;  // needs more bytes than there are
  }
  return {.consumed_bytes = closing_ ? bytes.size() : at};
}

size_t ServerConnection::serve(base::View bytes) {
  if (reader_ == nullptr) reader_ = std::make_unique<RequestReader>();
  const RequestReader::Read read = reader_->read(bytes);
  switch (read.state) {
    case RequestReader::State::kNeedMore:
      if (reader_->take_continue_wanted()) {
        connection_->out().write(base::as_view("HTTP/1.1 100 Continue\r\n\r\n"));
        connection_->flush_at_turn_end();
      }
      return read.consumed_bytes;
    case RequestReader::State::kFailed: reply(refusal_page_(reader_->refusal()), false); break;
    case RequestReader::State::kDone: ask_for_answer(); break;
  }
  reader_.reset();
  return read.consumed_bytes;
}

void ServerConnection::ask_for_answer() {
  keep_alive_ = reader_->keep_alive();
  with_body_ = reader_->request().method != "HEAD";
  waiting_ = std::make_shared<ServerConnection*>(this);
  answer_(std::move(reader_->request()), Responder(waiting_));
  if (waiting_ == nullptr) return;
  paused_ = true;
  connection_->pause_reading();
}

void ServerConnection::answered(const Response& response) {
  waiting_.reset();
  reply(response, keep_alive_, with_body_);
  request_deadline_ = loop_.now() + kRequestTimeMax;
  if (std::exchange(paused_, false) && !closing_) connection_->resume_reading();
}

void ServerConnection::reply(const Response& response, bool keep_alive, bool with_body) {
  std::string head = "HTTP/1.1 " + std::to_string(response.status) + ' ';
  head += reason_of(response.status);
  const auto field = [&head](std::string_view name, std::string_view value) {
    ((head += "\r\n") += name) += ": ";
    head += value;
  };
  if (response.status != 204) {
    field("Content-Type", response.content_type);
    field("Content-Length", std::to_string(response.body.size()));
  }
  for (const Field& extra : response.fields) field(extra.name, extra.value);
  field("Connection", keep_alive ? "keep-alive" : "close");
  head += "\r\n\r\n";
  connection_->out().write(base::as_view(head));
  if (with_body) connection_->out().write(base::as_view(response.body));
  connection_->flush_at_turn_end();
  if (keep_alive) return;
  closing_ = true;
  connection_->close_after_flush();
}

// A pause and a resume make the connection offer the rest again; it waits by itself while the peer does not read.
void ServerConnection::pause_for_a_turn() {
  connection_->pause_reading();
  loop_.cancel(resume_timer_);
  resume_timer_ = loop_.call_at(loop_.now(), [this] {
    resume_timer_ = {};
    connection_->resume_reading();
  });
}

}  // namespace polylog::http
