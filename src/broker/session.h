// Session: one client's protocol state machine as the engine sees it: somebody to bring Actions to. Sans-I/O: bytes come in
// through its io::Handler side, bytes go out through an io::OutQueue; time comes from io::Loop.
// The broker calls on_action() between turns' inputs, never from inside submit(), so a session is never re-entered.
#pragma once

#include "broker/actions.h"

namespace polylog::broker {

class Session {
 public:
  virtual ~Session() = default;
  virtual void on_action(Action action) = 0;
  // Producers must be held back (or may go on): memory or disk is short somewhere. Called on change only.
  virtual void on_pressure() {}
};

}  // namespace polylog::broker
