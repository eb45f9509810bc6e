// What `polylog bench` says of a run: a page of text for people, an object for programs.
#pragma once

#include <string>

#include "load/results.h"

namespace polylog::server {

std::string bench_text(const load::Results& results);
std::string bench_json(const load::Results& results);  // without a newline

}  // namespace polylog::server
