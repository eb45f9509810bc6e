#include "io/connection.h"

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>

#include "base/limits.h"
#include "io/input_buffer.h"

namespace polylog::io {

namespace {

namespace limits = base::limits;
using std::chrono::seconds;

constexpr size_t kReadBytesPerTurnMax = 1 * limits::kMiB;  // so that one busy peer does not starve the others
constexpr size_t kPiecesPerSendMax = 64;
// A slow disk holds the core up no longer than this takes, and no longer does the core hold up a worker that syncs for
// somebody else: a kernel without preemption lets it in only between two calls.
constexpr size_t kBytesPerSendMax = 256 * limits::kKiB;
constexpr base::Duration kFlushMax = seconds(5);
constexpr base::Duration kLingerMax = seconds(1);
constexpr base::Duration kStalledWriteMax = seconds(30);
constexpr base::MonoTime kNever{INT64_MAX};

class TcpConnection final : public Connection, public Resident {
 public:
  TcpConnection(Core& core, int fd, Peer peer, std::unique_ptr<Handler> handler, Traffic* traffic)
      : core_(core),
        socket_(core.context(), fd),
        handler_(std::move(handler)),
        traffic_(traffic),
        peer_(std::move(peer)) {}
  void begin();

  OutQueue& out() override { return out_; }
  void flush_at_turn_end() override { core_.finish_later(*this); }
  void pause_reading() override;
  void resume_reading() override;
  void close_after_flush() override;
  void close_now() override { fail("closed by the server"); }
  const std::string& peer() const override { return peer_.text; }
  bool peer_is_loopback() const override { return peer_.is_loopback; }

  void finish_turn() override;
  void shut_down(std::string_view why) override { fail(why); }
  bool has_much_to_send() const override { return out_.queued_bytes() > core_.send_bytes_max(); }

 private:
  enum class State : uint8_t { kOpen, kFlushing, kLingering, kClosed };

  bool wants_input() const;
  bool may_reoffer() const;
  void arm_read();
  void arm_write();
  void on_readable();
  size_t read_once();  // bytes received; 0: nothing more for now
  size_t received(ssize_t got);
  void discard_input();
  void offer_shared(base::View bytes);
  void offer_kept();
  size_t offer(base::View bytes);
  void schedule_reoffer();
  void claim_input();
  void drop_claim();
  void on_peer_fin();

  void flush();
  bool send_once(size_t bytes_max);
  struct Sent {
    ssize_t bytes;  // as the system call returned
    size_t wanted;
  };
  Sent send_from_memory(size_t bytes_max);
  Sent send_from_file(const FileSpan& span, size_t bytes_max);
  void note_drained();
  void start_linger();

  void fail(std::string_view why);
  void set_deadline(base::Duration after, std::string_view why);
  void on_deadline();
  void close();
  void operation_ended();

  Core& core_;
  boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type> socket_;
  std::unique_ptr<Handler> handler_;
  Traffic* traffic_;  // may be null
  OutQueue out_;
  InputBuffer kept_;
  size_t wanted_bytes_ = 0;
  size_t claimed_bytes_ = 0;  // of the core's InputBudget
  Peer peer_;
  std::string_view why_;  // a literal
  base::MonoTime deadline_{INT64_MAX};
  std::string_view deadline_why_;
  TimerId deadline_timer_;
  uint8_t operations_ = 0;  // waits and tasks that still point here
  State state_ = State::kOpen;
  bool read_armed_ = false;
  bool write_armed_ = false;
  bool paused_ = false;
  bool starved_ = false;    // a long frame waits for room
  bool choked_ = false;     // too much output queued: reading waits
  bool undrained_ = false;  // output was left at a turn's end
  bool peer_finished_ = false;
  bool failed_ = false;
  bool reoffer_wanted_ = false;  // resumed with bytes kept: they are shown again before more is read
  bool reoffer_scheduled_ = false;
};

void TcpConnection::begin() {
  if (traffic_ != nullptr) {
    traffic_->accepted.add();
    traffic_->open.add(1);
  }
  handler_->on_open(*this);
  flush_at_turn_end();  // which also begins to read
}

// ---- turn end: the one place that writes, arms waits and closes

void TcpConnection::finish_turn() {
  if (state_ == State::kClosed) return;
  if (!failed_ && !write_armed_) flush();
  if (!failed_ && state_ == State::kFlushing && out_.empty()) start_linger();
  if (failed_) return close();
  if (state_ == State::kOpen) claim_input();
  if (!read_armed_ && wants_input()) arm_read();
  if (reoffer_wanted_ && !reoffer_scheduled_ && may_reoffer()) schedule_reoffer();
}

bool TcpConnection::may_reoffer() const {
  return state_ == State::kOpen && !failed_ && !paused_ && (!choked_ || handler_->holds_frame());
}

bool TcpConnection::wants_input() const {
  switch (state_) {
    case State::kOpen: return !paused_ && !choked_ && !reoffer_wanted_ && !starved_;
    case State::kFlushing: return false;
    case State::kLingering: return true;
    case State::kClosed: return false;
  }
  return false;
}

void TcpConnection::arm_read() {
  read_armed_ = true;
  ++operations_;
  socket_.async_wait(socket_.wait_read, [this](const boost::system::error_code& error) {
    core_.woke();
    read_armed_ = false;
    if (!error && state_ != State::kClosed) on_readable();
    operation_ended();
  });
}

void TcpConnection::arm_write() {
  write_armed_ = true;
  ++operations_;
  socket_.async_wait(socket_.wait_write, [this](const boost::system::error_code& error) {
    core_.woke();
    write_armed_ = false;
    if (!error && state_ != State::kClosed) core_.finish_later(*this);
    operation_ended();
  });
}

void TcpConnection::operation_ended() {
  if (--operations_ == 0 && state_ == State::kClosed) core_.retire(*this);
}

// ---- reading

void TcpConnection::on_readable() {
  core_.finish_later(*this);
  if (state_ == State::kLingering) return discard_input();
  for (size_t total = 0; total < kReadBytesPerTurnMax && wants_input() && !failed_;) {
    const size_t got = read_once();
    claim_input();
    if (got == 0) break;
    total += got;
  }
}

// A little left over goes back in front of the shared buffer, so that one recv fetches all there is; a large frame
// under way is received where it already lies.
size_t TcpConnection::read_once() {
  const bool direct = kept_.size() > InputBuffer::kRoomBytesMin;
  const base::MutView shared = core_.read_buffer();
  const size_t kept = direct ? 0 : kept_.size();
  const base::MutView room = direct ? kept_.room(wanted_bytes_) : shared.subspan(kept);
  const ssize_t got = recv(socket_.native_handle(), room.data(), room.size(), MSG_DONTWAIT);
  if (got <= 0) return received(got);
  if (traffic_ != nullptr) traffic_->received_bytes.add(static_cast<size_t>(got));
  if (direct) {
    kept_.arrived(static_cast<size_t>(got));
    core_.input().touch(*this, core_.now());
    offer_kept();
  } else {
    if (kept > 0) std::memcpy(shared.data(), kept_.view().data(), kept);
    offer_shared(shared.first(kept + static_cast<size_t>(got)));
  }
  return static_cast<size_t>(got) == room.size() ? room.size() : 0;  // less than asked for: the socket is empty
}

size_t TcpConnection::received(ssize_t got) {
  if (got == 0) {
    on_peer_fin();
  } else if (errno != EAGAIN && errno != EINTR) {
    fail(errno == ECONNRESET ? "reset by the peer" : "read failed");
  }
  return 0;
}

void TcpConnection::offer_shared(base::View bytes) {
  const size_t consumed = bytes.size() >= wanted_bytes_ ? offer(bytes) : 0;
  kept_.assign(bytes.subspan(consumed));
}

void TcpConnection::offer_kept() {
  if (kept_.size() < wanted_bytes_) return;
  kept_.consume(offer(kept_.view()));
}

size_t TcpConnection::offer(base::View bytes) {
  const Handler::Taken taken = handler_->on_bytes(bytes);
  if (traffic_ != nullptr && taken.consumed_bytes > 0) traffic_->parse.record_ns((core_.clock() - core_.now()).count());
  wanted_bytes_ = taken.wanted_bytes;
  choked_ = choked_ || out_.queued_bytes() > limits::kConnectionQueuedBytesMax;
  return taken.consumed_bytes;
}

void TcpConnection::on_peer_fin() {
  peer_finished_ = true;
  if (state_ == State::kLingering) return fail(why_);
  close_after_flush();
  why_ = "closed by the peer";
}

void TcpConnection::discard_input() {
  const base::MutView shared = core_.read_buffer();
  for (size_t total = 0; total < kReadBytesPerTurnMax; total += shared.size()) {
    const ssize_t got = recv(socket_.native_handle(), shared.data(), shared.size(), MSG_DONTWAIT);
    if (got <= 0) {
      received(got);
      return;
    }
  }
}

// A frame that is longer than what the first reads bring is received only when there is room for all of it.
void TcpConnection::claim_input() {
  const size_t wanted = kept_.size() > InputBuffer::kRoomBytesMin ? std::max(wanted_bytes_, kept_.size()) : 0;
  if (wanted == 0) return drop_claim();
  if (wanted == claimed_bytes_ && !starved_) return;
  starved_ = !core_.input().claim(*this, wanted, core_.now());
  if (starved_) {
    core_.watch_input();
  } else {
    claimed_bytes_ = wanted;
    if (paused_) core_.input().touch(*this, kNever);
  }
}

void TcpConnection::drop_claim() {
  if (claimed_bytes_ == 0 && !starved_) return;
  claimed_bytes_ = 0;
  starved_ = false;
  core_.release_input(*this);
}

void TcpConnection::pause_reading() {
  paused_ = true;
  if (claimed_bytes_ > 0) core_.input().touch(*this, kNever);  // it is us who do not read
}

void TcpConnection::resume_reading() {
  paused_ = false;
  if (claimed_bytes_ > 0) core_.input().touch(*this, core_.now());
  reoffer_wanted_ = !kept_.empty();
  core_.finish_later(*this);
}

// Not at once: the handler that resumes is often in the middle of its own call.
void TcpConnection::schedule_reoffer() {
  reoffer_scheduled_ = true;
  ++operations_;
  core_.next_turn([this] {
    reoffer_scheduled_ = false;
    if (may_reoffer()) {
      reoffer_wanted_ = false;
      wanted_bytes_ = 0;  // what was left may hold whole frames
      offer_kept();
    }
    if (state_ != State::kClosed) core_.finish_later(*this);
    operation_ended();
  });
}

// ---- writing

void TcpConnection::flush() {
  const bool had_output = !out_.empty();
  const size_t left_min = out_.queued_bytes() - std::min(out_.queued_bytes(), core_.send_bytes_max());
  while (out_.queued_bytes() > left_min && !failed_) {
    if (!send_once(std::min(kBytesPerSendMax, out_.queued_bytes() - left_min))) break;
  }
  if (failed_) return;
  if (!out_.empty()) {
    undrained_ = true;
    arm_write();
    if (state_ == State::kOpen && deadline_ == kNever) set_deadline(kStalledWriteMax, "the peer does not read");
  }
  if (choked_ && out_.queued_bytes() <= limits::kConnectionQueuedBytesMax / 2) {
    choked_ = false;
    reoffer_wanted_ = reoffer_wanted_ || !kept_.empty();  // the handler may have left whole frames because of it
  }
  if (!choked_ && out_.queued_bytes() > limits::kConnectionQueuedBytesMax) choked_ = true;
  if (had_output && out_.empty()) note_drained();
}

// False: the socket takes no more now (or failed).
bool TcpConnection::send_once(size_t bytes_max) {
  const std::optional<FileSpan> span = out_.next_span();
  const auto [sent, wanted] = span ? send_from_file(*span, bytes_max) : send_from_memory(bytes_max);
  if (sent < 0) {
    if (errno == EINTR) return true;
    if (errno != EAGAIN) fail(errno == EPIPE || errno == ECONNRESET ? "reset by the peer" : "write failed");
    return false;
  }
  if (sent == 0 && wanted > 0) {  // the file is shorter than its index says: what was promised cannot be sent
    fail("a file ended early");
    return false;
  }
  out_.sent(static_cast<size_t>(sent));
  if (traffic_ != nullptr) traffic_->sent_bytes.add(static_cast<size_t>(sent));
  if (state_ == State::kOpen && deadline_ != kNever) deadline_ = core_.now() + kStalledWriteMax;  // progress
  return static_cast<size_t>(sent) == wanted;
}

TcpConnection::Sent TcpConnection::send_from_file(const FileSpan& span, size_t bytes_max) {
  auto offset = static_cast<off_t>(span.offset);
  const size_t wanted = std::min<size_t>(span.bytes, bytes_max);
  return {sendfile(socket_.native_handle(), span.file->descriptor(), &offset, wanted), wanted};
}

TcpConnection::Sent TcpConnection::send_from_memory(size_t bytes_max) {
  thread_local std::vector<base::View> pieces;  // scratch, empty between calls
  iovec vectors[kPiecesPerSendMax];
  const size_t bytes = out_.gather(pieces, kPiecesPerSendMax, bytes_max);
  for (size_t i = 0; i < pieces.size(); ++i) {
    vectors[i] = {const_cast<uint8_t*>(pieces[i].data()), pieces[i].size()};
  }
  msghdr message{};
  message.msg_iov = vectors;
  message.msg_iovlen = pieces.size();
  // What a span follows is held back for it: its head and its bytes leave together.
  const int more = bytes < out_.queued_bytes() ? MSG_MORE : 0;
  return {sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT | more), bytes};
}

void TcpConnection::note_drained() {
  if (state_ == State::kOpen) deadline_ = kNever;
  if (!std::exchange(undrained_, false) || state_ != State::kOpen) return;
  handler_->on_drained();
}

// ---- closing

void TcpConnection::close_after_flush() {
  if (state_ != State::kOpen) return;
  state_ = State::kFlushing;
  why_ = "closed by the server";
  set_deadline(kFlushMax, "the peer does not read");
  core_.finish_later(*this);
}

void TcpConnection::start_linger() {
  if (peer_finished_) return fail(why_);
  state_ = State::kLingering;
  kept_.release();
  drop_claim();
  shutdown(socket_.native_handle(), SHUT_WR);
  set_deadline(std::min(kLingerMax, deadline_ - core_.now()), why_);
}

void TcpConnection::fail(std::string_view why) {
  if (state_ == State::kClosed) return;
  if (!failed_) why_ = why;
  failed_ = true;
  core_.finish_later(*this);
}

// One timer serves all deadlines; moving a deadline further away costs nothing until the timer fires.
void TcpConnection::set_deadline(base::Duration after, std::string_view why) {
  deadline_ = core_.now() + after;
  deadline_why_ = why;
  core_.cancel(deadline_timer_);
  deadline_timer_ = core_.call_at(deadline_, [this] { on_deadline(); });
}

void TcpConnection::on_deadline() {
  deadline_timer_ = {};
  if (deadline_ == kNever) return;
  if (core_.now() >= deadline_) return fail(deadline_why_);
  deadline_timer_ = core_.call_at(deadline_, [this] { on_deadline(); });
}

void TcpConnection::close() {
  state_ = State::kClosed;
  if (traffic_ != nullptr) traffic_->open.add(-1);
  drop_claim();
  core_.cancel(deadline_timer_);
  boost::system::error_code ignored;
  socket_.close(ignored);  // cancels the waits; the object goes when they have returned
  handler_->on_closed(why_);
  handler_.reset();
  ++operations_;
  operation_ended();
}

}  // namespace

void open_connection(Core& core, int fd, Peer peer, std::unique_ptr<Handler> handler, Traffic* traffic) {
  auto connection = std::make_unique<TcpConnection>(core, fd, std::move(peer), std::move(handler), traffic);
  TcpConnection& opened = *connection;
  core.adopt(std::move(connection));
  opened.begin();
}

}  // namespace polylog::io
