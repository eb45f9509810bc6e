// All that may differ between a recorded answer and polylog's, and why. What is not listed here must be equal.
//
// A path names a field from its message on: "Metadata.brokers[].port" is Kafka's, "queue.declare-ok.queue" AMQP's. "*."
// in front stands for any message, at any depth.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace polylog::golden {

// Not compared.
struct Mask {
  std::string_view path;
  std::string_view reason;
};
extern const Mask kMasks[];
extern const size_t kMaskCount;

// Elements compared in any order.
struct Unordered {
  std::string_view path;
  std::string_view reason;
};
extern const Unordered kUnordered[];
extern const size_t kUnorderedCount;

// Elements left out before comparing: those whose `field` has that `value`.
struct Leave {
  std::string_view path;
  std::string_view field;
  std::string_view value;
  std::string_view reason;
};
extern const Leave kLeaves[];
extern const size_t kLeaveCount;

// Ids that a broker makes up. What came in an answer's field is put in place of the recorded id in later requests, and
// must stand for the same thing in later answers. A value that begins otherwise than `prefix` is an ordinary one.
struct Correlated {
  std::string_view field;  // the last name of a path
  std::string_view kind;
  std::string_view prefix;
  std::string_view reason;
};
extern const Correlated kCorrelated[];
extern const size_t kCorrelatedCount;

const Correlated* find_correlated(std::string_view field);

std::vector<std::string> rule_names();  // of all tables: "masked Metadata.cluster_id"

}  // namespace polylog::golden
