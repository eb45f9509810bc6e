// Fetch: reads the cells of the asked partitions at once, and answers when there is enough, when something is wrong, or
// when the client's time is up. Until then the cells are watched.
//
//   reading ──all cells answered──► enough? ──yes──► reply
//      ▲                               │ no
//      └── a cell has more (Readable) ─┴─ max_wait is over ──► reply
//
// What a request of a session leaves out is filled in from the session before anything else: fetch_sessions.h.
#include <algorithm>
#include <chrono>
#include <memory>
#include <unordered_map>
#include <vector>

#include "protocol/kafka/fetch_plan.h"
#include "protocol/kafka/gen/fetch.h"
#include "protocol/kafka/handlers.h"
#include "protocol/kafka/mapping.h"
#include "protocol/kafka/session.h"

namespace polylog::kafka {
namespace {

constexpr auto kRoomRetryEvery = std::chrono::milliseconds(10);

class FetchCall final : public PendingCall {
 public:
  FetchCall(const Call& call, const FetchRequest& request, FetchContext context)
      : call_(call),
        context_(std::move(context)),
        plan_(call, request),
        reserved_(call.broker().egress()),
        bytes_min_(std::min<int64_t>(std::max(request.min_bytes, 0), plan_.bytes_max())),
        is_over_(request.max_wait_ms <= 0 || plan_.is_empty()) {}
  ~FetchCall() override {
    call_.broker().loop().cancel(timer_);
    call_.broker().loop().cancel(room_timer_);
  }

  void run(int32_t max_wait_ms);
  void on_action(broker::Token token, broker::ActionBody&& body) override;

 private:
  // What is read of one cell. It may have a watch, and a token, while nothing is being read.
  struct CellRead {
    base::CellId cell;
    std::vector<size_t> partitions;  // in the plan
    std::vector<size_t> asked;       // of the read under way
    broker::Token token;             // 0: none
    bool is_reading = false;
    bool is_watched = false;  // by `token`
    bool has_news = false;    // the last read gave something: what comes after that is not watched
    bool lacks_room = false;  // the last read asked for positions only: there was no memory for what it would load
  };

  void group_by_cell();
  void ask_epochs();
  void read(CellRead& cell, bool watch);
  uint32_t reserve_bytes();
  void wait_for_room();
  void on_read(CellRead& cell, broker::ReadDone&& done);
  void unwatch(CellRead& cell);
  void proceed();
  bool must_answer() const;
  void answer();

  Call call_;
  FetchContext context_;
  FetchPlan plan_;
  broker::EgressBudget::Share reserved_;  // for what is being read and what has been
  std::vector<CellRead> cells_;
  std::unordered_map<uint64_t, size_t> epoch_asked_;  // by token: the partition in the plan
  size_t reads_open_ = 0;
  int64_t bytes_min_;
  io::TimerId timer_, room_timer_;
  bool is_over_;  // the client waits no longer
  bool has_waited_ = false;
  bool is_answered_ = false;
};

void FetchCall::run(int32_t max_wait_ms) {
  group_by_cell();
  ask_epochs();
  for (CellRead& cell : cells_) read(cell, !is_over_ && call_.session().fetches_wait());
  if (!is_over_) {
    io::Loop& loop = call_.broker().loop();
    timer_ = loop.call_at(loop.now() + std::chrono::milliseconds(max_wait_ms), [weak = weak_from_this()] {
      const auto self = std::static_pointer_cast<FetchCall>(weak.lock());
      if (self == nullptr) return;
      self->timer_ = {};
      self->is_over_ = true;
      self->proceed();
    });
  }
  proceed();
}

void FetchCall::group_by_cell() {
  for (size_t i = 0; i < plan_.partitions().size(); ++i) {
    const FetchedPartition& partition = plan_.partitions()[i];
    if (!partition.is_readable()) continue;
    auto cell = std::ranges::find(cells_, partition.at.cell, &CellRead::cell);
    if (cell == cells_.end()) cell = cells_.insert(cell, {.cell = partition.at.cell});
    cell->partitions.push_back(i);
  }
}

// Only a client whose last record is of an older epoch can have records that this log has not.
void FetchCall::ask_epochs() {
  for (size_t i = 0; i < plan_.partitions().size(); ++i) {
    const FetchedPartition& partition = plan_.partitions()[i];
    const bool is_older = partition.last_fetched_epoch >= 0 && partition.last_fetched_epoch < partition.at.leader_epoch;
    if (!partition.is_readable() || !is_older) continue;
    const broker::ReplyTo reply_to = call_.expect(shared_from_this());
    epoch_asked_.emplace(reply_to.token.value, i);
    const base::Epoch asked(static_cast<uint32_t>(partition.last_fetched_epoch));
    call_.broker().submit(partition.at.cell, reply_to, broker::FindEpochRequest{partition.at.key, asked});
  }
}

// A watch costs more than a read, so it is asked for only when there is probably nothing to read.
void FetchCall::read(CellRead& cell, bool watch) {
  unwatch(cell);
  cell.has_news = false;
  cell.asked.clear();
  broker::ReadRequest request{.bytes_max = 0, .span_encoding = kEncodingTag, .watch = watch};
  for (const size_t i : cell.partitions) {
    const FetchedPartition& partition = plan_.partitions()[i];
    if (!partition.wants_more() && !(partition.is_readable() && partition.start < 0)) continue;
    cell.asked.push_back(i);
    request.items.push_back({.partition = partition.at.key,
                             .from = partition.next,
                             .bytes_max = static_cast<uint32_t>(partition.bytes_max - partition.bytes)});
  }
  if (cell.asked.empty()) return;
  request.bytes_max = reserve_bytes();
  cell.lacks_room = request.bytes_max == 0;
  const broker::ReplyTo reply_to = call_.session().expect(shared_from_this(), Session::Answers::kMany);
  cell.token = reply_to.token;
  cell.is_reading = true;
  cell.is_watched = watch;
  ++reads_open_;
  call_.broker().submit(cell.cell, reply_to, std::move(request));
}

// 0: slow readers hold all the memory there is for replies.
uint32_t FetchCall::reserve_bytes() {
  const auto wanted = static_cast<size_t>(std::max<int64_t>(plan_.bytes_max() - plan_.bytes_ready(), 1));
  const size_t bytes = std::min(wanted, call_.broker().egress().room());
  reserved_.set(reserved_.bytes() + bytes);
  return static_cast<uint32_t>(bytes);
}

void FetchCall::wait_for_room() {
  const bool lacks = std::ranges::any_of(cells_, &CellRead::lacks_room);
  if (!lacks || room_timer_.value != 0) return;
  io::Loop& loop = call_.broker().loop();
  room_timer_ = loop.call_at(loop.now() + kRoomRetryEvery, [weak = weak_from_this()] {
    const auto self = std::static_pointer_cast<FetchCall>(weak.lock());
    if (self == nullptr || self->is_answered_) return;
    self->room_timer_ = {};
    for (CellRead& cell : self->cells_)
      if (cell.lacks_room && !cell.is_reading) self->read(cell, false);
    self->proceed();
  });
}

void FetchCall::unwatch(CellRead& cell) {
  if (cell.token.value == 0) return;
  if (cell.is_watched) call_.broker().submit(cell.cell, {call_.session().id(), cell.token}, broker::UnwatchRequest{});
  call_.session().forget(cell.token);
  cell.token = {};
  cell.is_watched = false;
}

void FetchCall::on_action(broker::Token token, broker::ActionBody&& body) {
  if (const auto* done = std::get_if<broker::FindEpochDone>(&body)) {
    const auto asked = epoch_asked_.extract(token.value);
    plan_.note_epoch_end(plan_.partitions()[asked.mapped()], *done);
    return proceed();
  }
  CellRead& cell = *std::ranges::find(cells_, token, &CellRead::token);
  if (std::holds_alternative<broker::Readable>(body)) {
    cell.is_watched = false;
    if (!cell.is_reading) read(cell, false);
  } else {
    on_read(cell, std::move(std::get<broker::ReadDone>(body)));
  }
  proceed();
}

void FetchCall::on_read(CellRead& cell, broker::ReadDone&& done) {
  cell.is_reading = false;
  --reads_open_;
  for (size_t i = 0; i < done.items.size(); ++i) {
    cell.has_news |= !done.items[i].batches.empty();
    plan_.take(plan_.partitions()[cell.asked[i]], std::move(done.items[i]));
  }
  if (reads_open_ == 0) reserved_.set(plan_.bytes_held());
}

void FetchCall::proceed() {
  if (is_answered_ || reads_open_ > 0 || !epoch_asked_.empty()) return;
  if (must_answer()) return answer();
  has_waited_ = true;
  wait_for_room();
  for (CellRead& cell : cells_) {
    if (cell.has_news || !cell.is_watched) read(cell, true);
  }
}

bool FetchCall::must_answer() const {
  if (is_over_ || plan_.has_error() || plan_.bytes_ready() >= bytes_min_) return true;
  // Nothing can be added any more.
  return std::ranges::none_of(plan_.partitions(), [](const FetchedPartition& p) { return p.wants_more(); });
}

void FetchCall::answer() {
  is_answered_ = true;
  call_.session().note_fetch(has_waited_);
  for (CellRead& cell : cells_) unwatch(cell);
  reserved_.set(0);  // the session counts the reply from here on
  Reply reply = plan_.make_reply(call_, context_);
  reply.waited_as_asked = has_waited_;
  call_.send(std::move(reply));
}

}  // namespace

void handle_fetch(Call call, base::View body) {
  FetchRequest request;
  if (!call.parse(body, request)) return;
  const bool by_id = call.version() >= kTopicIdsSinceVersion;
  auto [error, context] = call.session().shared().fetch_sessions().open(request, by_id, call.broker().loop().now());
  if (error != ErrorCode::kNone) {
    base::Writer out;
    std::vector<RecordsAt> no_records;
    const size_t frame_at = call.begin(out);
    encode(out, call.version(), FetchResponse{.error_code = error}, no_records);
    end_response(out, frame_at);
    return call.send({std::move(out.buffer()), {}, error});
  }
  if (context.is_incremental) request.topics = context.session->topics();
  std::make_shared<FetchCall>(call, request, std::move(context))->run(request.max_wait_ms);
}

}  // namespace polylog::kafka
