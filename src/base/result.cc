#include "base/result.h"

namespace polylog::base {

const char* name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kMalformed: return "malformed";
    case ErrorCode::kTooLarge: return "too_large";
    case ErrorCode::kNotFound: return "not_found";
    case ErrorCode::kExists: return "exists";
    case ErrorCode::kInvalid: return "invalid";
    case ErrorCode::kInUse: return "in_use";
    case ErrorCode::kLocked: return "locked";
    case ErrorCode::kNotAllowed: return "not_allowed";
    case ErrorCode::kUnsupported: return "unsupported";
    case ErrorCode::kOutOfRange: return "out_of_range";
    case ErrorCode::kOutOfOrder: return "out_of_order";
    case ErrorCode::kDuplicate: return "duplicate";
    case ErrorCode::kFenced: return "fenced";
    case ErrorCode::kConflict: return "conflict";
    case ErrorCode::kLimit: return "limit";
    case ErrorCode::kDiskFull: return "disk_full";
    case ErrorCode::kIo: return "io";
    case ErrorCode::kCorrupt: return "corrupt";
    case ErrorCode::kOverloaded: return "overloaded";
    case ErrorCode::kStopping: return "stopping";
    case ErrorCode::kTimeout: return "timeout";
  }
  return "unknown";
}

}  // namespace polylog::base
