// serve(): runs the broker on the calling thread until SIGTERM or SIGINT; returns the process's exit code.
#pragma once

#include "server/config.h"

namespace polylog::server {

[[nodiscard]] int serve(const Config& config);

}  // namespace polylog::server
