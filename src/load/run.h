// Run: one measurement: connects everything, lets messages flow for their time, waits for what is under way, and adds up.
// One thread, one poll loop.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "load/connection.h"
#include "load/ledger.h"
#include "load/server_watch.h"
#include "load/target.h"

namespace polylog::load {

class Run {
 public:
  struct Hooks {
    std::function<void(const Ledger&, uint64_t now_ns)> progress;  // many times a second
    std::function<bool()> stopping;                                // asked as often; true: end early
  };

  Run(Ledger& ledger, ServerWatch& server, Hooks hooks) : ledger_(ledger), server_(server), hooks_(std::move(hooks)) {}

  // An error: the connections did not come up in the first place.
  base::Result<Results> go(std::vector<std::unique_ptr<Link>> links);

 private:
  base::Result<> connect_all();
  void flow();
  bool drain();
  void turn();
  void poll_once(uint64_t now_ns);
  uint64_t wake_ns(uint64_t now_ns) const;

  Ledger& ledger_;
  ServerWatch& server_;
  Hooks hooks_;
  std::deque<Connection> connections_;
};

}  // namespace polylog::load
