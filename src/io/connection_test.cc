#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <malloc.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "base/limits.h"
#include "io/listener.h"

namespace polylog::io {
namespace {

using std::chrono::milliseconds;

// A frame is a u32 length (host order) and that many bytes; the server answers with the same frame.
struct EchoServer {
  struct Log {
    std::atomic<int> opened = 0, closed = 0, drained = 0;
    std::atomic<size_t> received_bytes = 0, calls = 0;
    std::atomic<bool> loopback = false;
  };
  class Echo : public Handler {
   public:
    explicit Echo(EchoServer& server) : server_(server) {}
    void on_open(Connection& connection) override {
      connection_ = &connection;
      ++server_.log.opened;
      server_.log.loopback = connection.peer_is_loopback();
    }
    Taken on_bytes(base::View bytes) override {
      ++server_.log.calls;
      if (server_.on_bytes) return server_.on_bytes(*connection_, bytes);
      size_t at = 0, wanted = 4;
      while (bytes.size() - at >= 4) {
        uint32_t size;
        std::memcpy(&size, bytes.data() + at, 4);
        wanted = 4 + size_t{size};
        if (bytes.size() - at < wanted) break;
        connection_->out().append(base::Slice::copy_of(bytes.subspan(at, wanted)));
        server_.log.received_bytes += wanted;
        at += wanted;
        wanted = 4;
      }
      connection_->flush_at_turn_end();
      return {at, wanted};
    }
    bool holds_frame() const override { return server_.holds_frame; }
    void on_drained() override { ++server_.log.drained; }
    void on_closed(std::string_view) override { ++server_.log.closed; }

   private:
    EchoServer& server_;
    Connection* connection_ = nullptr;
  };

  explicit EchoServer(std::function<Handler::Taken(Connection&, base::View)> custom = {}, size_t cores = 1)
      : on_bytes(std::move(custom)), group({.cores = cores, .pin = false}) {
    uint16_t port = 0;
    for (size_t i = 0; i < cores; ++i) {
      auto listener = listen(group.core(i), {"127.0.0.1", port}, [this] { return std::make_unique<Echo>(*this); });
      REQUIRE(listener);
      port = (*listener)->port();
      listeners.push_back(std::move(*listener));
    }
    thread = std::thread([this] { group.run(); });
  }
  ~EchoServer() {
    group.stop();
    thread.join();
    listeners.clear();
    CHECK(log.opened == log.closed);
  }

  std::function<Handler::Taken(Connection&, base::View)> on_bytes;
  std::atomic<bool> holds_frame = false;
  Log log;
  CoreGroup group;
  std::vector<std::unique_ptr<Listener>> listeners;
  std::thread thread;
};

struct Client {
  explicit Client(const EchoServer& server) : fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(server.listeners[0]->port());
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
  }
  ~Client() { close(fd); }
  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      REQUIRE(sent > 0);
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }
  std::string read(size_t size) {  // less at the end of the stream
    std::string bytes(size, 0);
    size_t at = 0;
    while (at < size) {
      const ssize_t got = recv(fd, bytes.data() + at, size - at, 0);
      if (got <= 0) break;
      at += static_cast<size_t>(got);
    }
    bytes.resize(at);
    return bytes;
  }
  int fd;
};

std::string frame(size_t size, char fill = 'x') {
  const auto length = static_cast<uint32_t>(size);
  return std::string(reinterpret_cast<const char*>(&length), 4) + std::string(size, fill);
}

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 1000 && !condition(); ++i) std::this_thread::sleep_for(milliseconds(5));
  return condition();
}

TEST_CASE("frames_of_all_sizes_come_back_whole") {
  EchoServer server;
  Client client(server);
  for (const size_t size : {0ul, 1ul, 100ul, 65'535ul, 262'140ul, 262'144ul, 1'000'000ul, 20'000'000ul, 3ul}) {
    CAPTURE(size);
    std::thread writer([&] { client.write(frame(size, static_cast<char>('a' + size % 26))); });
    CHECK(client.read(size + 4) == frame(size, static_cast<char>('a' + size % 26)));
    writer.join();
  }
  CHECK(server.log.loopback);
}

constexpr size_t kLongAnswer = 4 << 20;

// How much of a long answer leaves at most in the turn in which it is asked for: by who reads it, or by another connection.
size_t most_sent_in_a_turn(bool asked_by_another) {
  constexpr size_t kAnswers = 30;  // the first ones widen the window of TCP
  std::atomic<size_t> least_left = kLongAnswer;
  Connection* reader = nullptr;
  EchoServer server([&](Connection& connection, base::View bytes) {
    if (reader == nullptr) reader = &connection;
    if (base::as_text(bytes) != "ask") return Handler::Taken{bytes.size(), 1};
    reader->out().append(base::Slice::copy_of(base::as_view(std::string(kLongAnswer, 'x'))));
    reader->flush_at_turn_end();
    Core& core = server.group.core(0);
    core.next_turn([&] {  // within this turn still, before its end
      core.next_turn([&] { least_left = std::min(least_left.load(), reader->out().queued_bytes()); });
    });
    return Handler::Taken{bytes.size(), 1};
  });
  Client client(server), another(server);
  client.write("here");
  REQUIRE(eventually([&] { return server.log.calls > 0; }));
  for (size_t i = 0; i < kAnswers; ++i) {
    (asked_by_another ? another : client).write("ask");
    REQUIRE(client.read(kLongAnswer).size() == kLongAnswer);
  }
  return kLongAnswer - least_left.load();
}

TEST_CASE("what_a_connection_sends_in_a_turn_is_bounded_and_more_so_when_another_waits_for_its_end") {
  constexpr size_t kAlone = 512 << 10, kTogether = 256 << 10;
  const size_t alone = most_sent_in_a_turn(false);
  CHECK(alone <= kAlone);
  CHECK(alone > kTogether / 2);
  CHECK(most_sent_in_a_turn(true) <= kTogether / 2);
}

TEST_CASE("what_wakes_a_core_sees_the_time_at_which_it_woke") {
  constexpr auto kAsleep = milliseconds(200);
  std::atomic<Core*> core = nullptr;
  std::atomic<int64_t> oldest_ns = 0;
  EchoServer server([&](Connection&, base::View bytes) -> Handler::Taken {
    oldest_ns = std::max(oldest_ns.load(), (core.load()->clock() - core.load()->now()).count());
    return {bytes.size(), 0};
  });
  core = &server.group.core(0);
  Client client(server);
  for (int i = 0; i < 3; ++i) {
    const size_t calls = server.log.calls;
    std::this_thread::sleep_for(kAsleep);  // the core does nothing meanwhile: that is the point
    client.write("x");
    REQUIRE(eventually([&] { return server.log.calls > calls; }));
  }
  CHECK(oldest_ns < base::Duration(kAsleep).count() / 2);
}

TEST_CASE("a_frame_split_at_every_byte_comes_back_whole") {
  EchoServer server;
  Client client(server);
  std::string bytes = frame(9, 'q') + frame(0) + frame(3, 'r');
  for (const char byte : bytes) {
    client.write({&byte, 1});
    std::this_thread::sleep_for(milliseconds(1));
  }
  CHECK(client.read(bytes.size()) == bytes);
}

TEST_CASE("a_large_frame_is_offered_only_when_it_is_whole") {
  EchoServer server;
  Client client(server);
  client.write(frame(30'000'000).substr(0, 15'000'000));
  client.write(std::string(15'000'004, 'x'));
  CHECK(client.read(30'000'004).size() == 30'000'004);
  CHECK(server.log.calls <= 4);
}

TEST_CASE("a_claimed_length_allocates_nothing") {
  EchoServer server;
  const size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
  Client client(server);
  client.write("\xff\xff\xff\x7f and a few bytes");
  CHECK(eventually([&] { return server.log.calls > 0; }));
  std::this_thread::sleep_for(milliseconds(20));
  CHECK(mallinfo2().uordblks + mallinfo2().hblkhd < before + 256 * 1024);
}

TEST_CASE("pipelined_frames_keep_their_order_across_many_reads") {
  EchoServer server;
  Client client(server);
  std::string bytes;
  for (size_t i = 0; i < 20'000; ++i) bytes += frame(i % 700, static_cast<char>('a' + i % 26));
  std::thread writer([&] { client.write(bytes); });
  CHECK(client.read(bytes.size()) == bytes);
  writer.join();
}

TEST_CASE("a_peer_that_does_not_read_stops_our_reading_and_resumes_when_it_reads") {
  EchoServer server;
  Client client(server);
  const std::string block = frame(100'000);
  constexpr size_t kBlocks = 600;
  std::thread writer([&] {
    for (size_t i = 0; i < kBlocks; ++i) client.write(block);
  });
  std::this_thread::sleep_for(milliseconds(300));
  const size_t stuck_at = server.log.received_bytes;
  CHECK(stuck_at < kBlocks * block.size());
  CHECK(client.read(kBlocks * block.size()).size() == kBlocks * block.size());
  writer.join();
  CHECK(eventually([&] { return server.log.drained > 0; }));
}

TEST_CASE("a_half_closing_peer_gets_what_was_queued_and_then_the_end") {
  EchoServer server;
  Client client(server);
  client.write(frame(3'000'000));
  shutdown(client.fd, SHUT_WR);
  std::this_thread::sleep_for(milliseconds(50));
  CHECK(client.read(10'000'000).size() == 3'000'004);
  CHECK(eventually([&] { return server.log.closed == 1; }));
}

TEST_CASE("close_after_flush_delivers_the_last_reply_despite_unread_input") {
  EchoServer server([](Connection& connection, base::View bytes) -> Handler::Taken {
    connection.out().append(base::Slice::copy_of(base::as_view(std::string(2'000'000, 'e'))));
    connection.close_after_flush();
    return {bytes.size(), 0};
  });
  Client client(server);
  client.write("bad");
  std::this_thread::sleep_for(milliseconds(20));
  client.write(std::string(100'000, 'z'));
  CHECK(client.read(5'000'000).size() == 2'000'000);
  close(std::exchange(client.fd, -1));
  CHECK(eventually([&] { return server.log.closed == 1; }));
}

TEST_CASE("close_now_closes_once_even_when_repeated") {
  EchoServer server([](Connection& connection, base::View bytes) -> Handler::Taken {
    connection.close_now();
    connection.close_now();
    connection.close_after_flush();
    return {bytes.size(), 0};
  });
  Client client(server);
  client.write("bye");
  CHECK(client.read(1).empty());
  CHECK(eventually([&] { return server.log.closed == 1; }));
}

TEST_CASE("bytes_left_by_a_paused_handler_are_offered_again_on_resume") {
  std::atomic<int> round = 0;
  EchoServer* started = nullptr;
  EchoServer server([&](Connection& connection, base::View bytes) -> Handler::Taken {
    if (round++ == 0) {
      connection.pause_reading();
      Core& core = started->group.core(0);
      core.call_at(core.now() + milliseconds(30), [&connection] { connection.resume_reading(); });
      return {1, 0};
    }
    connection.out().write(bytes);
    connection.flush_at_turn_end();
    return {bytes.size(), 0};
  });
  started = &server;
  Client client(server);
  client.write("hello");
  CHECK(client.read(4) == "ello");
  CHECK(round == 2);
}

// What a handler left while more output was queued than a peer may leave unread.
TEST_CASE("a_choked_peer_is_shown_a_frame_half_done_at_once_and_other_input_when_it_reads") {
  const std::string output(4 * base::limits::kConnectionQueuedBytesMax, 'o');
  for (const bool half_done : {true, false}) {
    std::atomic<int> round = 0;
    EchoServer* started = nullptr;
    EchoServer server([&](Connection& connection, base::View bytes) -> Handler::Taken {
      if (round++ > 0) return {bytes.size(), 0};
      connection.out().append(base::Slice::copy_of(base::as_view(output)));
      connection.flush_at_turn_end();
      if (!half_done) return {1, 0};
      connection.pause_reading();
      Core& core = started->group.core(0);
      core.call_at(core.now() + milliseconds(30), [&connection] { connection.resume_reading(); });
      return {0, 0};
    });
    started = &server;
    server.holds_frame = half_done;
    Client client(server);
    client.write("hello");
    if (half_done) CHECK(eventually([&] { return round == 2; }));
    CHECK(client.read(output.size()).size() == output.size());
    CHECK(eventually([&] { return round == 2; }));
  }
}

TEST_CASE("a_thousand_idle_connections_take_little_memory") {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  EchoServer server;
  std::vector<std::unique_ptr<Client>> clients;
  clients.push_back(std::make_unique<Client>(server));  // what is allocated once
  CHECK(eventually([&] { return server.log.opened == 1; }));
  clients.reserve(1001);
  const size_t before = mallinfo2().uordblks;
  for (int i = 0; i < 1000; ++i) clients.push_back(std::make_unique<Client>(server));
  for (auto& client : clients) client->write(frame(50));
  for (auto& client : clients) CHECK(client->read(54).size() == 54);
  std::this_thread::sleep_for(milliseconds(50));
  const size_t each = (mallinfo2().uordblks - before) / 1000;
  MESSAGE("heap bytes a connection, client object and handler included: " << each);
  CHECK(each < 1300);
}

TEST_CASE("connections_spread_over_listeners_of_several_cores") {
  EchoServer server({}, 2);
  for (int i = 0; i < 40; ++i) {
    Client client(server);
    client.write(frame(10));
    CHECK(client.read(14).size() == 14);
  }
  CHECK(server.log.opened == 40);
}

TEST_CASE("a_taken_port_is_refused_with_advice_even_among_port_sharers") {
  EchoServer server({}, 2);
  for (const size_t cores : {1ul, 2ul}) {
    CoreGroup other({.cores = cores, .pin = false});
    auto taken = listen(other.core(0), {"127.0.0.1", server.listeners[0]->port()}, [] { return nullptr; });
    REQUIRE(!taken);
    CHECK(taken.error().code == base::ErrorCode::kInUse);
    CHECK(taken.error().text.find("choose another port") != std::string::npos);
  }
}

}  // namespace
}  // namespace polylog::io
