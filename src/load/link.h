// Link: what one connection of a run says, without the socket: bytes in, bytes out. A protocol has one for producers and
// one for consumers. The run connects it, moves its bytes, and connects it again when it breaks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "load/socket.h"

namespace polylog::load {

inline constexpr size_t kOutputBytesTarget = 256 << 10;

class Link {
 public:
  explicit Link(Address address) : address_(std::move(address)) {}
  virtual ~Link() = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  const Address& address() const { return address_; }
  // The greeting is done: messages may flow.
  bool ready() const { return ready_; }

  // A new connection: forgets the one before and writes the first bytes.
  virtual void greet(std::string& output) = 0;
  // Takes what is whole at the front of the input; returns its bytes. An error ends the connection.
  virtual base::Result<size_t> take(std::string_view input, std::string& output, uint64_t now_ns) = 0;
  // Writes of what is due by now about as much as kOutputBytesTarget; nothing: that was all. Only while ready.
  virtual void send_due(std::string& output, uint64_t now_ns) = 0;
  // The connection broke: what was under way goes back to the ledger.
  virtual void on_down() = 0;

 protected:
  bool ready_ = false;

 private:
  Address address_;
};

}  // namespace polylog::load
