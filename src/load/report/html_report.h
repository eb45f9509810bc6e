// html_report: a run as one page with plots. Self-contained: no script, no font, no picture from elsewhere.
#pragma once

#include <string>

#include "load/results.h"

namespace polylog::load {

std::string html_report(const Results& results);

}  // namespace polylog::load
