// bench_machine: what this machine itself can do, in the units in which polylog is measured against it.
//   bench_machine what=commits [dir=.] [size=4096] [parts=1]   rounds/s of `parts` writes of `size` and one fdatasync,
//                                                              to a file zeroed beforehand
//   bench_machine what=sendfile|send [dir=.] [chunk=262144]    bytes/s from page cache or a hot buffer over loopback
//   bench_machine what=log [dir=.] [durable=1] [connections=16] [window=64] [size=100]
//                                                              messages/s of the least server that appends frames to a
//                                                              file and acknowledges them, once a turn
//   bench_machine what=paced [dir=.] [rate=5000] [size=1024]   the least that syncs each message, answers and delivers it
//   bench_machine what=acklog [dir=.] [batch=256] [lag=1024]  messages/s through the least state of a queue, not synced
//   all: [secs=2] [cpu=0] [client_cpu=1]
#include <sys/sendfile.h>
#include <sys/socket.h>

#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "bench/support/ack_log.h"
#include "bench/support/clock.h"
#include "bench/support/frame_log.h"
#include "bench/support/options.h"
#include "bench/support/paced_log.h"
#include "bench/support/report.h"
#include "bench/support/scratch_file.h"

namespace polylog::bench {
namespace {

uint64_t duration_ns(const Options& options) { return static_cast<uint64_t>(options.number("secs", 2) * 1e9); }

int commits(const Options& options) {
  const size_t size = options.count("size", 4096);
  const uint64_t parts = options.count("parts", 1);
  ScratchFile file(options.text("dir", "."), 256 << 20);
  const std::string data(size, 'x');
  Histogram latencies;
  const uint64_t began = now_ns();
  while (now_ns() < began + duration_ns(options)) {
    const uint64_t start = now_ns();
    for (uint64_t part = 0; part < parts; part++) file.append(data);
    file.sync();
    latencies.add(now_ns() - start);
  }
  Report report;
  report.add("rate", static_cast<double>(latencies.count()) * 1e9 / static_cast<double>(now_ns() - began));
  report.add_percentiles_us(latencies);
  report.print();
  return 0;
}

uint64_t send_file(int socket, int file, size_t offset, size_t chunk) {
  auto position = static_cast<off_t>(offset);
  for (size_t left = chunk; left > 0;) {
    const ssize_t bytes = sendfile(socket, file, &position, left);
    if (bytes <= 0) fail_with_errno("sendfile");
    left -= static_cast<size_t>(bytes);
  }
  return chunk;
}

uint64_t send_buffer(int socket, const std::string& buffer) {
  for (size_t sent = 0; sent < buffer.size();) {
    const ssize_t bytes = send(socket, buffer.data() + sent, buffer.size() - sent, MSG_NOSIGNAL);
    if (bytes <= 0) fail_with_errno("send");
    sent += static_cast<size_t>(bytes);
  }
  return buffer.size();
}

int stream(const Options& options, bool from_file) {
  const size_t chunk = options.count("chunk", 256 << 10);
  const auto [sender, receiver] = loopback_pair();
  std::thread reader([&options, receiver] {
    pin_to_cpu(static_cast<int>(options.number("client_cpu", 1)));
    std::vector<char> buffer(1 << 20);
    while (recv(receiver, buffer.data(), buffer.size(), 0) > 0) continue;
  });
  ScratchFile file(options.text("dir", "."), 256 << 20);
  const std::string buffer(chunk, 'x');
  pin_to_cpu(static_cast<int>(options.number("cpu", 0)));
  const uint64_t began = now_ns();
  const uint64_t cpu_began = now_ns(CLOCK_THREAD_CPUTIME_ID);
  uint64_t bytes = 0;
  while (now_ns() < began + duration_ns(options)) {
    bytes +=
        from_file ? send_file(sender, file.fd(), bytes % (file.size() - chunk), chunk) : send_buffer(sender, buffer);
  }
  const auto seconds = static_cast<double>(now_ns() - began) / 1e9;
  Report report;
  report.add("rate", static_cast<double>(bytes) / seconds);
  report.add("server_cpu_ns",
             static_cast<double>(now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_began) / static_cast<double>(bytes));
  report.print();
  shutdown(sender, SHUT_RDWR);
  reader.join();
  return 0;
}

int frame_log(const Options& options) {
  FrameLogLoad load{.dir = options.text("dir", "."),
                    .durable = options.flag("durable", true),
                    .connections = options.count("connections", 16),
                    .window = options.count("window", 64),
                    .message_bytes = options.count("size", 100),
                    .duration_ns = duration_ns(options),
                    .server_cpu = static_cast<int>(options.number("cpu", 0)),
                    .client_cpu = static_cast<int>(options.number("client_cpu", 1))};
  const FrameLogResult result = run_frame_log(load);
  Report report;
  report.add("rate", result.messages_per_second);
  report.add("server_cpu_ns", result.server_cpu_ns_per_message);
  report.print();
  return 0;
}

int paced_log(const Options& options) {
  const PacedLogResult result = run_paced_log({.dir = options.text("dir", "."),
                                               .rate = options.count("rate", 5000),
                                               .message_bytes = options.count("size", 1024),
                                               .duration_ns = duration_ns(options),
                                               .server_cpu = static_cast<int>(options.number("cpu", 0)),
                                               .client_cpu = static_cast<int>(options.number("client_cpu", 1))});
  Report report;
  report.add("rate", result.messages_per_second);
  report.add("server_cpu_ns", result.server_cpu_ns_per_message);
  report.add_percentiles_us(result.latencies);
  report.print();
  return 0;
}

int ack_log(const Options& options) {
  pin_to_cpu(static_cast<int>(options.number("cpu", 0)));
  const AckLogResult result = run_ack_log({.dir = options.text("dir", "."),
                                           .batch = options.count("batch", 256),
                                           .lag = options.count("lag", 1024),
                                           .duration_ns = duration_ns(options)});
  Report report;
  report.add("rate", result.messages_per_second);
  report.add("server_cpu_ns", result.cpu_ns_per_message);
  report.print();
  return 0;
}

int run(const Options& options) {
  const std::string what = options.text("what", "");
  if (what == "commits") return commits(options);
  if (what == "sendfile" || what == "send") return stream(options, what == "sendfile");
  if (what == "log") return frame_log(options);
  if (what == "paced") return paced_log(options);
  if (what == "acklog") return ack_log(options);
  std::fprintf(stderr, "bench_machine: what= is commits, sendfile, send, log, paced or acklog\n");
  return 2;
}

}  // namespace
}  // namespace polylog::bench

int main(int argc, char** argv) { return polylog::bench::run(polylog::bench::Options(argc, argv)); }
