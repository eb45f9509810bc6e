// Result<T>: a value or an Error. Nothing in polylog throws across a layer; exceptions stay inside start-up code.
//
// An Error's code says which of two classes it is: a peer error (the request was wrong; a protocol's errors.cc maps it to
// a wire code) or an operating error (the disk, the network). Programmer errors are CHECKs and never an Error.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <utility>

namespace polylog::base {

enum class ErrorCode : uint8_t {
  // peer errors
  kMalformed,    // bytes that do not follow their format
  kTooLarge,     // over a named limit
  kNotFound,     // no such object
  kExists,       // the object is already there
  kInvalid,      // well-formed, but not a value that makes sense
  kInUse,        // e.g. not empty, has consumers
  kLocked,       // belongs to another connection
  kNotAllowed,   // refused by access rules
  kUnsupported,  // known, but not offered
  kOutOfRange,   // an offset outside the log
  kOutOfOrder,   // a producer's sequence has a gap
  kDuplicate,    // already appended, too long ago to know where
  kFenced,       // an older epoch of the same writer
  kConflict,     // concurrent change
  kLimit,        // as many objects as there may be
  // operating errors
  kDiskFull,
  kIo,          // a read, write or sync failed
  kCorrupt,     // stored bytes do not verify
  kOverloaded,  // a bounded queue is full
  kStopping,    // shutting down, or the cell stopped
  kTimeout,
};

struct Error {
  ErrorCode code;
  std::string text;  // for logs and people: what failed and what to do about it
};

template <typename T = void>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(ErrorCode code, std::string text = {}) {
  return std::unexpected(Error{code, std::move(text)});
}

const char* name_of(ErrorCode code);

}  // namespace polylog::base

#define POLYLOG_CONCAT_(a, b) a##b
#define POLYLOG_CONCAT(a, b) POLYLOG_CONCAT_(a, b)
// TRY(expression): returns the error from the enclosing function. TRY_ASSIGN(declaration, expression): keeps the value.
#define TRY(expression)                                           \
  do {                                                            \
    if (auto try_result = (expression); !try_result) [[unlikely]] \
      return std::unexpected(std::move(try_result.error()));      \
  } while (false)
#define TRY_ASSIGN(declaration, expression)                                           \
  auto POLYLOG_CONCAT(try_result_, __LINE__) = (expression);                          \
  if (!POLYLOG_CONCAT(try_result_, __LINE__)) [[unlikely]]                            \
    return std::unexpected(std::move(POLYLOG_CONCAT(try_result_, __LINE__).error())); \
  declaration = std::move(*POLYLOG_CONCAT(try_result_, __LINE__))
