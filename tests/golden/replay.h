// Replay: one scenario's client bytes against a new polylog, its answers compared with the recorded ones as they come.
//
// What a client says goes in as soon as polylog has answered as much as the recorded broker had when it was said: so an
// answer that the client waited for is there, and its ids can be put in (rules.h, Correlated).
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/golden/dialect.h"
#include "tests/golden/transcript.h"
#include "tests/golden/world.h"

namespace polylog::golden {

// A place among the bytes that clients send: `byte` of the bytes of event `event`.
struct Cut {
  enum class Kind : uint8_t { kNone, kTruncate, kSplit };
  Kind kind = Kind::kNone;
  size_t event = 0;
  size_t byte = 0;
};

// A scenario prepared for many replays.
struct Script {
  struct Step {
    const Event* event;
    std::vector<Bytes> units;     // kToBroker: what it consists of; the last one may be incomplete
    std::vector<Answer> answers;  // kFromBroker: that became complete with it
  };
  Script(const Transcript& transcript, const Dialect& dialect);
  const Transcript& transcript;
  const Dialect& dialect;
  std::vector<Step> steps;
};

struct Outcome {
  std::vector<std::string> problems;
  std::set<std::string> rules_used;
  size_t answers = 0;
};

Outcome replay(const Script& script, const Cut& cut);

}  // namespace polylog::golden
