// The operations that answers list as allowed, when asked: a bit each. Everything is allowed to everybody so far.
#pragma once

#include <cstdint>

namespace polylog::kafka {

enum class Operation : uint8_t {
  kRead = 3,
  kWrite = 4,
  kCreate = 5,
  kDelete = 6,
  kAlter = 7,
  kDescribe = 8,
  kClusterAction = 9,
  kDescribeConfigs = 10,
  kAlterConfigs = 11,
  kIdempotentWrite = 12,
};

template <typename... Operations>
constexpr int32_t operation_bits(Operations... operations) {
  return static_cast<int32_t>(((1u << static_cast<uint8_t>(operations)) | ... | 0u));
}

inline constexpr int32_t kTopicOperations =
    operation_bits(Operation::kRead, Operation::kWrite, Operation::kCreate, Operation::kDelete, Operation::kAlter,
                   Operation::kDescribe, Operation::kDescribeConfigs, Operation::kAlterConfigs);
inline constexpr int32_t kGroupOperations = operation_bits(Operation::kRead, Operation::kDelete, Operation::kDescribe);
inline constexpr int32_t kClusterOperations =
    operation_bits(Operation::kCreate, Operation::kAlter, Operation::kDescribe, Operation::kClusterAction,
                   Operation::kDescribeConfigs, Operation::kAlterConfigs, Operation::kIdempotentWrite);

}  // namespace polylog::kafka
