// AMQP 0-9-1 reply codes: what close and return carry. A soft error closes the channel, a hard one the connection.
//
// Not here: which broker error maps to which code. access-refused is soft, but hard while a connection is opened.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace polylog::amqp {

enum class ReplyCode : uint16_t {
  kSuccess = 200,
  kContentTooLarge = 311,
  kNoRoute = 312,
  kNoConsumers = 313,
  kConnectionForced = 320,
  kInvalidPath = 402,
  kAccessRefused = 403,
  kNotFound = 404,
  kResourceLocked = 405,
  kPreconditionFailed = 406,
  kFrameError = 501,
  kSyntaxError = 502,
  kCommandInvalid = 503,
  kChannelError = 504,
  kUnexpectedFrame = 505,
  kResourceError = 506,
  kNotAllowed = 530,
  kNotImplemented = 540,
  kInternalError = 541,
};

struct ReplyCodeRow {
  ReplyCode code;
  std::string_view name;
  bool hard;
};

inline constexpr std::array kReplyCodes = {
    ReplyCodeRow{ReplyCode::kSuccess, "REPLY_SUCCESS", false},
    ReplyCodeRow{ReplyCode::kContentTooLarge, "CONTENT_TOO_LARGE", false},
    ReplyCodeRow{ReplyCode::kNoRoute, "NO_ROUTE", false},
    ReplyCodeRow{ReplyCode::kNoConsumers, "NO_CONSUMERS", false},
    ReplyCodeRow{ReplyCode::kConnectionForced, "CONNECTION_FORCED", true},
    ReplyCodeRow{ReplyCode::kInvalidPath, "INVALID_PATH", true},
    ReplyCodeRow{ReplyCode::kAccessRefused, "ACCESS_REFUSED", false},
    ReplyCodeRow{ReplyCode::kNotFound, "NOT_FOUND", false},
    ReplyCodeRow{ReplyCode::kResourceLocked, "RESOURCE_LOCKED", false},
    ReplyCodeRow{ReplyCode::kPreconditionFailed, "PRECONDITION_FAILED", false},
    ReplyCodeRow{ReplyCode::kFrameError, "FRAME_ERROR", true},
    ReplyCodeRow{ReplyCode::kSyntaxError, "SYNTAX_ERROR", true},
    ReplyCodeRow{ReplyCode::kCommandInvalid, "COMMAND_INVALID", true},
    ReplyCodeRow{ReplyCode::kChannelError, "CHANNEL_ERROR", true},
    ReplyCodeRow{ReplyCode::kUnexpectedFrame, "UNEXPECTED_FRAME", true},
    ReplyCodeRow{ReplyCode::kResourceError, "RESOURCE_ERROR", true},
    ReplyCodeRow{ReplyCode::kNotAllowed, "NOT_ALLOWED", true},
    ReplyCodeRow{ReplyCode::kNotImplemented, "NOT_IMPLEMENTED", true},
    ReplyCodeRow{ReplyCode::kInternalError, "INTERNAL_ERROR", true},
};

constexpr const ReplyCodeRow* find_reply_code(ReplyCode code) {
  for (const ReplyCodeRow& row : kReplyCodes) {
    if (row.code == code) return &row;
  }
  return nullptr;
}
constexpr std::string_view name_of(ReplyCode code) {
  const ReplyCodeRow* row = find_reply_code(code);
  return row == nullptr ? "UNKNOWN" : row->name;
}
constexpr bool is_hard(ReplyCode code) {
  const ReplyCodeRow* row = find_reply_code(code);
  return row == nullptr || row->hard;
}

// "NOT_FOUND - no queue 'q' in vhost '/'": frameworks match on this form.
inline std::string reply_text(ReplyCode code, std::string_view reason) {
  std::string text(name_of(code));
  if (!reason.empty()) text.append(" - ").append(reason);
  return text;
}

}  // namespace polylog::amqp
