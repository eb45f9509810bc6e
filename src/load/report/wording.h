// How results are put into words, for the terminal and for the page. Plain text, not escaped.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "load/results.h"

namespace polylog::load {

inline constexpr std::pair<std::string_view, double> kPercentiles[] = {
    {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"p99.99", 0.9999}};

std::string duration_text(uint64_t ns);  // "420 us", "1.31 s": three digits
std::string rate_text(double per_second);

std::string setup_text(const Results& results);
std::string rates_text(const Results& results);
std::string messages_text(const Results& results);
std::string server_text(const Results& results);  // of results with a server
std::string outage_text(const Outage& outage);
// What a reader must know before he trusts the figures.
std::vector<std::string> notes(const Results& results);

}  // namespace polylog::load
