// Scanner: the director's own client. Each call runs the loops until it is answered, or 10 s have passed.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "tests/sim/client.h"

namespace polylog::sim {

class Scanner final : public Client {
 public:
  using Client::Client;
  std::shared_ptr<const broker::StreamRecord> declare(const std::string& name, broker::StreamKind kind,
                                                      uint32_t partitions);
  // Gives a group a cursor, without which it would be forgotten, generations and all, when its last member leaves.
  bool keep_group(const std::string& group);
  bool append(const Target& target);
  // Reads a whole partition into the model. False when a read failed, which must not be on a sound disk.
  bool scan(const Target& target, bool is_queue);
  std::optional<broker::QueueStatsDone> stats(const Target& queue);

  bool busy() const override { return waiting_ != 0; }
  std::string describe() const override { return "scanner"; }

 private:
  void tick() override {}
  void handle(uint64_t token, broker::ActionBody& body) override;
  void on_down() override { waiting_ = 0; }
  std::optional<broker::ActionBody> wait_for(uint64_t token);

  uint64_t waiting_ = 0;
  std::optional<broker::ActionBody> answer_;
};

}  // namespace polylog::sim
