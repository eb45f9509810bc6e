// Publisher: what a channel publishes. Assembles content, routes it, collects the messages of one piece of input into one
// batch a queue, and answers for them: confirms, returns, transactions. A publish the engine refuses for want of space is
// kept here and submitted again; reading from the client stops meanwhile (connection.h), so little is kept.
//
// Routing so far: the default exchange (queue or stream name) and the predeclared ones, which have no bindings.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "broker/actions.h"
#include "protocol/amqp/batch.h"
#include "protocol/amqp/confirm_window.h"
#include "protocol/amqp/errors.h"
#include "protocol/amqp/gen/methods.h"
#include "protocol/amqp/properties.h"

namespace polylog::amqp {

class Channel;

inline constexpr size_t kPublishBatchBytesMax = 1 * base::limits::kMiB;  // a batch this long is sent on at once
inline constexpr size_t kTransactionBytesMax = 64 * base::limits::kMiB;  // publishes of one uncommitted transaction
static_assert(kTransactionBytesMax + kPublishBatchBytesMax < base::limits::kBatchBytesMax);

class Publisher {
 public:
  explicit Publisher(Channel& channel) : channel_(channel) {}

  // --- content
  Outcome begin(const BasicPublish& m);
  bool expects_content() const { return step_ != Step::kNone; }
  Outcome on_content_header(base::View payload);
  Outcome on_content_body(base::View payload);

  // --- modes
  Outcome select_confirms();
  Outcome select_tx();
  bool in_tx() const { return tx_; }
  void commit();  // ends when is_idle(); then failed_commit() says whether something was not stored
  bool take_commit_failure() { return std::exchange(commit_failed_, false); }
  void rollback();

  // --- engine
  void flush();
  void on_append_done(broker::Token token, const broker::AppendDone& done);
  void retry();  // submits again what was refused
  bool is_idle() const { return appends_.empty(); }
  void report();   // the confirms collected
  void abandon();  // forgets what is not submitted and what is under way

 private:
  enum class Step : uint8_t { kNone, kHeader, kBody };
  using Numbers = std::vector<std::pair<uint64_t, uint64_t>>;  // of publishes: first, last
  struct Target {
    std::string name;
    base::PartitionKey partition;
    base::CellId cell;
    BatchBuilder builder;
    Numbers numbers;
  };
  struct Append {
    broker::Token token;
    base::PartitionKey partition;
    base::CellId cell;
    base::Slice batch;
    uint32_t count = 0;
    base::WallTime max_ts;
    Numbers numbers;
    base::MonoTime began;
    bool refused = false;  // waits to be submitted again
  };

  Outcome finish(base::View body);
  Outcome check(const PropertiesView& properties) const;
  Outcome add_copies(base::View headers, bool& hidden);
  Outcome route(base::View properties, base::View body);
  std::expected<Target*, Fault> find_target(std::string_view name);
  void add_to(Target& target, const RecordView& record, uint64_t number);
  void return_unroutable(base::View properties, base::View body);
  void send_all();
  void send_target(Target& target);
  void submit(Append& append);
  void note_took(const Append& append, const broker::AppendDone& done);
  void settle(const Numbers& numbers, bool accepted);
  void settle_one(uint64_t number, bool accepted);
  void release_buffers();
  size_t collected_bytes() const;

  Channel& channel_;
  // The message being assembled; its memory is reused for the next.
  Step step_ = Step::kNone;
  bool mandatory_ = false;
  bool confirms_ = false;
  bool tx_ = false;
  bool commit_failed_ = false;
  bool batch_is_full_ = false;
  std::string exchange_;
  std::string routing_key_;
  std::vector<std::string> copies_;  // CC and BCC keys
  std::vector<uint8_t> properties_;
  std::vector<uint8_t> body_;
  uint64_t body_size_ = 0;

  std::vector<Target> targets_;
  std::vector<Append> appends_;  // under way, oldest first
  ConfirmWindow window_;
  struct Copies {
    size_t open = 0;
    bool accepted = true;
  };
  std::map<uint64_t, Copies> spread_;  // publishes that went to several queues
};

}  // namespace polylog::amqp
