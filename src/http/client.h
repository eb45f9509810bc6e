// Client: a blocking HTTP/1.1 client on one kept-alive connection, for the command line. Never used on a core.
//
// Errors: kIo when the peer cannot be reached or leaves, kTimeout when it is silent for the time given, kMalformed when
// what it sends is not HTTP, kTooLarge. After an error the client is of no more use: it is not known what the peer did.
// Not for: TLS, redirects, streaming.
#pragma once

#include <memory>

#include "base/result.h"
#include "base/time.h"
#include "http/message.h"
#include "io/net.h"

namespace polylog::http {

inline constexpr size_t kResponseBytesMax = 256 * base::limits::kMiB;  // a peer that sends more is cut off

class Client {
 public:
  static base::Result<Client> connect(const io::Endpoint& peer, base::Duration timeout,
                                      size_t response_bytes_max = kResponseBytesMax);
  Client(Client&& other) noexcept;
  ~Client();

  // Sends the request (path as it is: encoded by the caller) and waits for the whole response.
  base::Result<Response> exchange(const Request& request);

 private:
  Client(int socket, std::string host, size_t response_bytes_max)
      : socket_(socket), host_(std::move(host)), response_bytes_max_(response_bytes_max) {}
  base::Result<> send_all(std::string_view bytes);

  int socket_;
  std::string host_;
  size_t response_bytes_max_;  // of a body
};

}  // namespace polylog::http
