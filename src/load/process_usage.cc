#include "load/process_usage.h"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "load/clock.h"

namespace polylog::load {
namespace {

namespace fs = std::filesystem;

// The inodes of sockets that listen on `port`. A line is | slot: | local ADDR:PORT | remote | state | ... | inode |.
void add_listening_inodes(const char* table, uint16_t port, std::set<std::string>& inodes) {
  constexpr std::string_view kListening = "0A";
  std::ifstream file(table);
  const std::string port_text = fmt::format(":{:04X}", port);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string slot, local, remote, state, queues, timer, retransmits, uid, timeout, inode;
    words >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> uid >> timeout >> inode;
    if (state == kListening && local.ends_with(port_text)) inodes.insert("socket:[" + inode + ']');
  }
}

bool holds_one_of(const fs::path& process, const std::set<std::string>& links) {
  std::error_code error;
  for (fs::directory_iterator at(process / "fd", error), end; !error && at != end; at.increment(error)) {
    std::error_code unreadable;
    if (links.contains(fs::read_symlink(at->path(), unreadable).string())) return true;
  }
  return false;
}

}  // namespace

base::Result<ProcessUsage> ProcessUsage::of(int pid) {
  clockid_t clock = CLOCK_MONOTONIC;
  if (pid <= 0 || !fs::exists(fmt::format("/proc/{}", pid)) || clock_getcpuclockid(pid, &clock) != 0) {
    return base::fail(base::ErrorCode::kNotFound, fmt::format("there is no process {}", pid));
  }
  return ProcessUsage(pid, clock);
}

bool ProcessUsage::alive() const { return cpu_ns() > 0; }

uint64_t ProcessUsage::cpu_ns() const { return now_ns(clock_); }

uint64_t ProcessUsage::resident_bytes() const {
  std::ifstream file(fmt::format("/proc/{}/statm", pid_));
  uint64_t total_pages = 0, resident_pages = 0;
  file >> total_pages >> resident_pages;
  return file ? resident_pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

std::optional<int> pid_listening_on(uint16_t port) {
  std::set<std::string> inodes;
  add_listening_inodes("/proc/net/tcp", port, inodes);
  add_listening_inodes("/proc/net/tcp6", port, inodes);
  if (inodes.empty()) return std::nullopt;
  std::error_code error;
  for (fs::directory_iterator at("/proc", error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    int pid = 0;
    const auto [last, failed] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (failed != std::errc{} || last != name.data() + name.size()) continue;
    if (holds_one_of(at->path(), inodes)) return pid;
  }
  return std::nullopt;
}

}  // namespace polylog::load
