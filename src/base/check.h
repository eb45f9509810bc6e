// CHECK(condition, why): a programmer error. On in release builds: prints where and why, then aborts, because a broker
// that has lost an invariant must not go on writing. `why` may be a std::string, e.g. an object's describe().
// Not for: bad input from a peer or the disk (return an Error).
#pragma once

#include <string_view>

namespace polylog::base {
[[noreturn]] void check_failed(const char* file, int line, const char* condition, std::string_view why);
}

#define CHECK(condition, why)                                             \
  do {                                                                    \
    if (!(condition)) [[unlikely]]                                        \
      ::polylog::base::check_failed(__FILE__, __LINE__, #condition, why); \
  } while (false)
