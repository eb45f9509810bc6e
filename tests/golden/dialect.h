// Dialect: what a replay must know of one protocol: where units (requests, answers, frames) begin and end, what they
// say, and how ids that the recorded broker made up are replaced in what the client said.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "broker/broker.h"
#include "io/net.h"
#include "tests/golden/transcript.h"
#include "tests/golden/tree.h"

namespace polylog::golden {

// Something the broker said. Answers are compared one by one within a lane: what is in different lanes may overtake.
inline constexpr std::string_view kAnswersLane = "answers";  // each to one request, in their order
inline constexpr std::string_view kUnasked = "unasked";      // the name of an answer to nothing
struct Answer {
  std::string lane;
  Tree tree;
};

// One end of one connection: follows what goes in and what comes out. There are two of it in a replay: for what was
// recorded, and for polylog.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual void heard_client(base::View unit) = 0;
  virtual std::vector<Answer> take_answers(Bytes& bytes) = 0;  // complete ones, off the front
  // By lane: whole requests heard whose answers are still to come.
  virtual std::map<std::string, size_t> unanswered() const = 0;
};

class Dialect {
 public:
  virtual ~Dialect() = default;
  virtual std::unique_ptr<io::Handler> make_session(broker::Broker& broker) const = 0;
  virtual std::unique_ptr<Listener> make_listener() const = 0;
  // Size of the first unit that a client sends in `bytes`; 0: incomplete.
  virtual size_t unit_bytes(base::View bytes) const = 0;
  virtual Bytes substitute(base::View unit, const Names& names) const = 0;
  // The lane that answers in polylog's `lane` were recorded in: the same, unless its name holds an id.
  virtual std::string recorded_lane(const std::string& lane, const Names& names) const = 0;
  virtual Bytes probe() const = 0;  // a first thing to say that any new connection gets an answer to
};

std::unique_ptr<Dialect> make_kafka_dialect();
std::unique_ptr<Dialect> make_amqp_dialect();

}  // namespace polylog::golden
