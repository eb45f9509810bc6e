// The first error code in a response, wherever in it: what metrics count a request by. And the first name in it, for logs.
// Both look into the members by which the responses call their parts; a test runs over all responses.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include "protocol/kafka/error_codes.h"

namespace polylog::kafka {

template <typename Part>
ErrorCode first_error(const Part& part);

namespace details {

template <typename List>
ErrorCode first_error_of(const List& list) {
  if constexpr (requires { list.has_value(); }) {
    return list ? first_error_of(*list) : ErrorCode::kNone;
  } else if constexpr (std::is_class_v<typename List::value_type>) {
    for (const auto& part : list) {
      if (const ErrorCode error = first_error(part); error != ErrorCode::kNone) return error;
    }
    return ErrorCode::kNone;
  } else {
    return ErrorCode::kNone;
  }
}

// Calls f with each list of parts that may hold errors or names.
template <typename Part, typename F>
void each_list(const Part& part, const F& f) {
  if constexpr (requires { part.topics; }) f(part.topics);
  if constexpr (requires { part.partitions; }) f(part.partitions);
  if constexpr (requires { part.groups; }) f(part.groups);
  if constexpr (requires { part.results; }) f(part.results);
  if constexpr (requires { part.members; }) f(part.members);
  if constexpr (requires { part.coordinators; }) f(part.coordinators);
  if constexpr (requires { part.filter_results; }) f(part.filter_results);
  if constexpr (requires { part.matching_acls; }) f(part.matching_acls);
}

}  // namespace details

template <typename Part>
ErrorCode first_error(const Part& part) {
  ErrorCode error = ErrorCode::kNone;
  if constexpr (requires { part.error_code; }) error = part.error_code;
  details::each_list(part, [&](const auto& list) {
    if (error == ErrorCode::kNone) error = details::first_error_of(list);
  });
  return error;
}

// Of the first topic, group or other named part; empty if it names none.
template <typename Response>
std::string first_name(const Response& response) {
  std::string name;
  const auto take = [&](const auto& list) {
    if constexpr (requires { list.front().name; }) {
      if (name.empty() && !list.empty()) {
        if constexpr (requires { std::string(list.front().name); }) name = std::string(list.front().name);
      }
    } else if constexpr (requires { list.front().group_id; }) {
      if (name.empty() && !list.empty()) name = std::string(list.front().group_id);
    }
  };
  details::each_list(response, take);
  return name;
}

}  // namespace polylog::kafka
