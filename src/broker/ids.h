// Names shared by every part of the engine: who asked (SessionId), and which of its questions this answers (Token).
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>

#include "base/ids.h"

namespace polylog::broker {

// A connected client session: the core that owns it and a number never reused on that core.
struct SessionId {
  base::CoreId core;
  uint64_t number = 0;
  friend constexpr auto operator<=>(const SessionId&, const SessionId&) = default;
};

// Chosen by the session, echoed in the Action that answers; unique among its open questions.
struct Token {
  uint64_t value = 0;
  friend constexpr auto operator<=>(const Token&, const Token&) = default;
};

// For logs: "0.17".
inline std::string to_text(SessionId id) { return std::to_string(id.core.value) + "." + std::to_string(id.number); }

struct ReplyTo {
  SessionId session;
  Token token;
};

}  // namespace polylog::broker

template <>
struct std::hash<polylog::broker::SessionId> {
  size_t operator()(const polylog::broker::SessionId& id) const { return id.number * 31 + id.core.value; }
};
