// RequestReader: one HTTP/1.x request out of the bytes of a connection.
//
//   GET /metrics?x=1 HTTP/1.1 CR LF
//   Host: localhost CR LF              the header: at most kHeaderBytesMax, nothing of it is taken before it is whole
//   CR LF
//   <body>                             Content-Length or chunked, at most kBodyBytesMax; taken as it comes
//
// Storage grows with the bytes that arrived, never with a claimed length.
#pragma once

#include <memory>

#include "base/bytes.h"
#include "http/message.h"

namespace polylog::http {

class RequestReader {
 public:
  RequestReader();
  ~RequestReader();

  enum class State { kNeedMore, kDone, kFailed };
  struct Read {
    State state = State::kNeedMore;
    size_t consumed_bytes = 0;
  };
  // `bytes` starts with what the last call did not consume. Not to be called again after kDone or kFailed.
  Read read(base::View bytes);

  Request& request();              // after kDone
  bool keep_alive() const;         // after kDone
  const Refusal& refusal() const;  // after kFailed
  // True once: the client waits for "100 Continue" before it sends its body.
  bool take_continue_wanted();

 private:
  class Parser;
  Read fail(int status, std::string text);
  std::unique_ptr<Parser> parser_;
  Refusal refusal_;
  size_t scanned_bytes_ = 0;  // of the header: its end is not in there
  bool header_whole_ = false;
  bool continue_wanted_ = false;
};

}  // namespace polylog::http
