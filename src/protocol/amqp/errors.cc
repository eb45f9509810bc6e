#include "protocol/amqp/errors.h"

#include <fmt/format.h>

#include "protocol/amqp/arguments.h"

namespace polylog::amqp {
namespace {

ReplyCode code_of(base::ErrorCode code) {
  switch (code) {
    case base::ErrorCode::kNotFound: return ReplyCode::kNotFound;
    case base::ErrorCode::kLocked: return ReplyCode::kResourceLocked;
    case base::ErrorCode::kInUse:
    case base::ErrorCode::kNotAllowed: return ReplyCode::kAccessRefused;
    case base::ErrorCode::kMalformed:
    case base::ErrorCode::kTooLarge:
    case base::ErrorCode::kExists:
    case base::ErrorCode::kInvalid:
    case base::ErrorCode::kOutOfRange:
    case base::ErrorCode::kConflict:
    case base::ErrorCode::kLimit: return ReplyCode::kPreconditionFailed;
    case base::ErrorCode::kUnsupported: return ReplyCode::kNotImplemented;
    case base::ErrorCode::kDiskFull:
    case base::ErrorCode::kOverloaded: return ReplyCode::kResourceError;
    case base::ErrorCode::kStopping: return ReplyCode::kConnectionForced;
    case base::ErrorCode::kOutOfOrder:
    case base::ErrorCode::kDuplicate:
    case base::ErrorCode::kFenced:
    case base::ErrorCode::kIo:
    case base::ErrorCode::kCorrupt:
    case base::ErrorCode::kTimeout: return ReplyCode::kInternalError;
  }
  return ReplyCode::kInternalError;
}

}  // namespace

Fault to_fault(const base::Error& error, std::string_view object) {
  std::string reason = fmt::format("{}: {}", object, error.text.empty() ? base::name_of(error.code) : error.text);
  return {code_of(error.code), std::move(reason)};
}

Fault no_queue(std::string_view name) {
  return {ReplyCode::kNotFound, fmt::format("no {}", describe_queue(name, "/"))};
}
Fault no_exchange(std::string_view name) {
  return {ReplyCode::kNotFound, fmt::format("no exchange '{}' in vhost '/'", name)};
}
Fault locked_queue(std::string_view name) {
  return {ReplyCode::kResourceLocked,
          fmt::format("cannot obtain exclusive access to locked {}. It could be originally declared on another "
                      "connection or the exclusive property value does not match that of the original declaration.",
                      describe_queue(name, "/"))};
}
Fault not_implemented(std::string_view what) { return {ReplyCode::kNotImplemented, std::string(what)}; }

}  // namespace polylog::amqp
