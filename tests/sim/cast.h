// The kinds of clients in a run. Each factory's comment says what it does to the broker.
#pragma once

#include <memory>

#include "tests/sim/client.h"

namespace polylog::sim {

// Appends to anything, several at a time, now and then batches of several slots; never retries.
std::unique_ptr<Client> make_producer(Scene& scene, size_t core, uint64_t id);
// Appends to one partition with numbered sequences, five in flight; retries everything whose outcome is unknown.
std::unique_ptr<Client> make_numbered_producer(Scene& scene, size_t core, uint64_t id, Target target);
// Reads streams from random places, with watches; trims now and then.
std::unique_ptr<Client> make_reader(Scene& scene, size_t core, uint64_t id);
// Consumes one queue: credit, acquire, settle, return, detach, broken connections. `automatic`: delivered is settled.
std::unique_ptr<Client> make_consumer(Scene& scene, size_t core, uint64_t id, Target queue, bool automatic);
// Commits and fetches the cursors of a group of its own.
std::unique_ptr<Client> make_committer(Scene& scene, size_t core, uint64_t id);
inline constexpr const char* kSharedGroup = "shared";
// A member of the one shared group: joins, syncs, heartbeats, commits, leaves, vanishes.
std::unique_ptr<Client> make_member(Scene& scene, size_t core, uint64_t id);
inline constexpr const char* kManagedGroup = "managed";
// A member of the one managed group: joins, gives up and takes partitions, commits, leaves, vanishes.
std::unique_ptr<Client> make_managed_member(Scene& scene, size_t core, uint64_t id);

// Creates, alters and deletes streams under names of its own, one request at a time, and checks what is there.
class CatalogClient : public Client {
 public:
  using Client::Client;
  virtual void check_after_start() = 0;  // before any client is up
};
std::unique_ptr<CatalogClient> make_declarer(Scene& scene, size_t core, uint64_t id);

}  // namespace polylog::sim
