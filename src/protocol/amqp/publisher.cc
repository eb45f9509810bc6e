#include "protocol/amqp/publisher.h"

#include <fmt/format.h>

#include <algorithm>

#include "protocol/amqp/connection.h"
#include "protocol/amqp/exchanges.h"
#include "protocol/amqp/field_table.h"

namespace polylog::amqp {
namespace {

constexpr size_t kIdleBodyBytesMax = 16 * base::limits::kKiB;
constexpr size_t kTargetsMax = 64;  // in one round of input; more are sent on early
constexpr size_t kPooledBuildersMax = 8;
constexpr size_t kPooledBuilderBytesMax = 2 * base::limits::kMiB;

// Builders are needed during one round of input only, so the core's sessions share them.
std::vector<BatchBuilder>& builder_pool() {
  thread_local std::vector<BatchBuilder> pool;
  return pool;
}

BatchBuilder take_builder() {
  auto& pool = builder_pool();
  if (pool.empty()) return {};
  BatchBuilder builder = std::move(pool.back());
  pool.pop_back();
  return builder;
}

void give_back(BatchBuilder builder) {
  auto& pool = builder_pool();
  if (pool.size() >= kPooledBuildersMax || builder.capacity_bytes() > kPooledBuilderBytesMax) return;
  builder.clear();
  pool.push_back(std::move(builder));
}

bool is_decimal(std::string_view text) {
  return !text.empty() && text.size() <= 18 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// Property bytes without the header that names hidden recipients.
void encode_without_bcc(base::Writer& out, base::View property_bytes) {
  const auto view = PropertiesView::parse(property_bytes);
  BasicProperties properties = view->all();
  base::Writer table;
  TableWriter headers(table);
  TableReader reader(*properties.headers);
  for (Field field; reader.next(field);) {
    if (field.key != "BCC") headers.put_value(field.key, field.value);
  }
  properties.headers = table.view();
  encode(out, properties);
}

}  // namespace

// ---- content

Outcome Publisher::begin(const BasicPublish& m) {
  if (m.immediate) return std::unexpected(not_implemented("immediate=true"));
  if (!is_known_exchange(m.exchange)) return std::unexpected(no_exchange(m.exchange));
  if (is_internal_exchange(m.exchange)) {
    return refuse(ReplyCode::kAccessRefused,
                  fmt::format("cannot publish to internal exchange '{}' in vhost '/'", m.exchange));
  }
  exchange_ = m.exchange;
  routing_key_ = m.routing_key;
  mandatory_ = m.mandatory;
  step_ = Step::kHeader;
  channel_.session().note_publish();
  return {};
}

Outcome Publisher::on_content_header(base::View payload) {
  if (step_ != Step::kHeader) {
    return refuse(ReplyCode::kUnexpectedFrame, "expected method frame, got non method frame instead");
  }
  const auto header = parse_content_header(payload);
  if (!header) return refuse(ReplyCode::kSyntaxError, "cannot decode the content header");
  if (header->class_id != class_id_of(MethodId::kBasicPublish)) {
    return refuse(ReplyCode::kUnexpectedFrame,
                  fmt::format("expected content header for class 60, got one for class {} instead", header->class_id));
  }
  const size_t bytes_max = channel_.session().config().message_bytes_max;
  if (header->body_size > bytes_max) {
    return refuse(ReplyCode::kPreconditionFailed,
                  fmt::format("message size {} is larger than configured max size {}", header->body_size, bytes_max));
  }
  properties_.assign(header->property_bytes.begin(), header->property_bytes.end());
  body_size_ = header->body_size;
  body_.clear();
  step_ = Step::kBody;
  return body_size_ == 0 ? finish({}) : Outcome{};
}

Outcome Publisher::on_content_body(base::View payload) {
  if (step_ != Step::kBody) {
    return refuse(ReplyCode::kUnexpectedFrame, "expected method frame, got non method frame instead");
  }
  if (payload.size() > body_size_ - body_.size()) {
    return refuse(ReplyCode::kUnexpectedFrame, "more body than the content header announced");
  }
  if (body_.empty() && payload.size() == body_size_) return finish(payload);
  body_.insert(body_.end(), payload.begin(), payload.end());
  return body_.size() == body_size_ ? finish(body_) : Outcome{};
}

Outcome Publisher::finish(base::View body) {
  step_ = Step::kNone;
  const auto properties = PropertiesView::parse(properties_);
  if (!properties) return refuse(ReplyCode::kSyntaxError, "cannot decode the content properties");
  if (Outcome outcome = check(*properties); !outcome) return outcome;
  copies_.clear();
  bool hidden = false;
  if (const auto headers = properties->headers()) {
    if (Outcome outcome = add_copies(*headers, hidden); !outcome) return outcome;
  }
  Outcome outcome;
  if (hidden) {
    base::Writer visible;
    encode_without_bcc(visible, properties_);
    outcome = route(visible.view(), body);
  } else {
    outcome = route(properties_, body);
  }
  if (body_.capacity() > kIdleBodyBytesMax) body_ = {};
  return outcome;
}

Outcome Publisher::check(const PropertiesView& properties) const {
  if (const auto user = properties.text(Property::kUserId); user && *user != channel_.session().user()) {
    return refuse(
        ReplyCode::kPreconditionFailed,
        fmt::format("user_id property set to '{}' but authenticated user was '{}'", *user, channel_.session().user()));
  }
  if (const auto expiration = properties.text(Property::kExpiration); expiration && !is_decimal(*expiration)) {
    return refuse(ReplyCode::kPreconditionFailed,
                  fmt::format("invalid expiration '{}': not a number of milliseconds", *expiration));
  }
  return {};
}

Outcome Publisher::add_copies(base::View headers, bool& hidden) {
  for (const std::string_view name : {"CC", "BCC"}) {
    const auto value = find(headers, name);
    if (!value) continue;
    if (name == "BCC") hidden = true;
    if (value->type != FieldType::kArray) {
      return refuse(ReplyCode::kPreconditionFailed, fmt::format("header {} is not an array of strings", name));
    }
    ArrayReader keys(value->bytes);
    for (FieldValue key; keys.next(key);) {
      if (!key.is_text() || key.bytes.size() > base::limits::kNameBytesMax) {
        return refuse(ReplyCode::kPreconditionFailed, fmt::format("header {} is not an array of strings", name));
      }
      const bool repeats = key.text() == routing_key_ || std::ranges::find(copies_, key.text()) != copies_.end();
      if (!repeats) copies_.emplace_back(key.text());
    }
  }
  return {};
}

// ---- routing

Outcome Publisher::route(base::View properties, base::View body) {
  const uint64_t number = confirms_ ? window_.add() : 0;
  const RecordView record{channel_.session().broker().loop().wall_now(), exchange_, routing_key_, properties, body};
  size_t copies = 0;
  const bool is_default = exchange_.empty();  // the others have no bindings
  const auto found = is_default ? find_target(routing_key_) : std::expected<Target*, Fault>(nullptr);
  if (!found) return std::unexpected(found.error());
  if (*found != nullptr) {
    add_to(**found, record, number);
    ++copies;
  }
  for (size_t i = 0; is_default && i < copies_.size(); ++i) {
    const auto copy = find_target(copies_[i]);
    if (!copy) return std::unexpected(copy.error());
    if (*copy == nullptr) continue;
    add_to(**copy, record, number);
    ++copies;
  }
  if (copies == 0) {
    if (mandatory_) return_unroutable(properties, body);
    settle_one(number, true);
  } else if (copies > 1 && confirms_) {
    spread_[number] = {copies, true};
  }
  channel_.session().touch(channel_.number());
  if (tx_ && collected_bytes() > kTransactionBytesMax) {
    return refuse(ReplyCode::kPreconditionFailed, "the transaction is too large");
  }
  if (batch_is_full_) flush();
  return {};
}

// Nullptr: no such queue.
std::expected<Publisher::Target*, Fault> Publisher::find_target(std::string_view name) {
  for (Target& target : targets_) {
    if (target.name == name) return &target;
  }
  const auto record = channel_.session().broker().catalog().find(name);
  if (!record || record->partitions.empty()) return nullptr;
  if (record->partitions.size() > 1) {
    return std::unexpected(not_implemented(
        fmt::format("publishing to stream '{}', which has {} partitions", name, record->partitions.size())));
  }
  if (targets_.size() >= kTargetsMax) flush();
  targets_.push_back({std::string(name), record->key(), record->partitions[0], take_builder(), {}});
  return &targets_.back();
}

void Publisher::add_to(Target& target, const RecordView& record, uint64_t number) {
  target.builder.add(record);
  batch_is_full_ |= target.builder.bytes() >= kPublishBatchBytesMax;
  if (!confirms_) return;
  if (!target.numbers.empty() && target.numbers.back().second + 1 == number) {
    target.numbers.back().second = number;
  } else {
    target.numbers.emplace_back(number, number);
  }
}

void Publisher::return_unroutable(base::View properties, base::View body) {
  Session& session = channel_.session();
  base::Writer& frames = Session::scratch();
  frames.clear();
  write_method(frames, channel_.number(),
               BasicReturn{.reply_code = static_cast<uint16_t>(ReplyCode::kNoRoute),
                           .reply_text = name_of(ReplyCode::kNoRoute),
                           .exchange = exchange_,
                           .routing_key = routing_key_});
  write_content_header(frames, channel_.number(), body.size(), properties);
  write_body(frames, channel_.number(), body, session.frame_max());
  session.out().write(frames.view());
  session.wrote();
}

size_t Publisher::collected_bytes() const {
  size_t bytes = 0;
  for (const Target& target : targets_) bytes += target.builder.bytes();
  return bytes;
}

// ---- modes

Outcome Publisher::select_confirms() {
  if (tx_) return refuse(ReplyCode::kPreconditionFailed, "cannot switch from tx to confirm mode");
  confirms_ = true;
  return {};
}

Outcome Publisher::select_tx() {
  if (confirms_) return refuse(ReplyCode::kPreconditionFailed, "cannot switch from confirm to tx mode");
  flush();
  tx_ = true;
  return {};
}

void Publisher::commit() { send_all(); }

void Publisher::rollback() { release_buffers(); }

void Publisher::release_buffers() {
  for (Target& target : targets_) give_back(std::move(target.builder));
  targets_.clear();
  batch_is_full_ = false;
  if (targets_.capacity() > kTargetsMax) targets_ = {};
}

// ---- the engine

void Publisher::flush() {
  if (!tx_) send_all();
}

void Publisher::send_all() {
  if (targets_.empty()) return;
  for (Target& target : targets_) send_target(target);
  release_buffers();
}

void Publisher::send_target(Target& target) {
  Append append;
  append.token = channel_.session().make_token(channel_.number(), TokenKind::kAppend);
  append.partition = target.partition;
  append.cell = target.cell;
  append.count = target.builder.count();
  append.batch = base::Slice::copy_of(target.builder.finish());
  append.max_ts = channel_.session().broker().loop().wall_now();
  append.numbers = std::move(target.numbers);
  append.began = channel_.session().broker().loop().now();
  channel_.session().note_append_bytes(static_cast<int64_t>(append.batch.size()));
  appends_.push_back(std::move(append));
  submit(appends_.back());
}

void Publisher::submit(Append& append) {
  append.refused = false;
  channel_.session().submit(append.cell, append.token,
                            broker::AppendRequest{.partition = append.partition,
                                                  .bytes = append.batch.view(),
                                                  .owned = append.batch,
                                                  .encoding = kEncodingTag,
                                                  .count = append.count,
                                                  .max_ts = append.max_ts,
                                                  .writer = {}});
}

void Publisher::on_append_done(broker::Token token, const broker::AppendDone& done) {
  const auto append = std::ranges::find(appends_, token, &Append::token);
  if (append == appends_.end()) return;
  bool accepted = true;
  if (!done.base_offset) {
    const base::ErrorCode code = done.base_offset.error().code;
    if (code == base::ErrorCode::kDiskFull) {
      append->refused = true;
      return channel_.session().retry_later();
    }
    accepted = code == base::ErrorCode::kNotFound;  // deleted meanwhile: unroutable
    if (!accepted) commit_failed_ = tx_;
  }
  note_took(*append, done);
  settle(append->numbers, accepted);
  channel_.session().note_append_bytes(-static_cast<int64_t>(append->batch.size()));
  appends_.erase(append);
  // Nobody may believe that it was stored, also who asked for no confirms.
  if (!done.base_offset && done.base_offset.error().code == base::ErrorCode::kTooLarge)
    channel_.raise(to_fault(done.base_offset.error(), "a published message"));
}

void Publisher::note_took(const Append& append, const broker::AppendDone& done) {
  Session& session = channel_.session();
  const base::Duration took = session.broker().loop().now() - append.began;
  session.metrics().publish_time().record_ns(took.count());
  if (took < session.broker().slow_operation()) return;
  const auto record = session.broker().catalog().find(append.partition.stream);
  session.note_took(name_of(MethodId::kBasicPublish), record ? std::string_view(record->name) : "", took, &done);
}

void Publisher::retry() {
  for (Append& append : appends_) {
    if (append.refused) submit(append);
  }
}

void Publisher::settle(const Numbers& numbers, bool accepted) {
  for (const auto& [first, last] : numbers) {
    if (spread_.empty()) {
      window_.settle(first, last, accepted);
      continue;
    }
    for (uint64_t number = first; number <= last; ++number) settle_one(number, accepted);
  }
  if (window_.has_news()) channel_.session().report_later(channel_.number());
}

void Publisher::settle_one(uint64_t number, bool accepted) {
  if (!confirms_) return;
  if (const auto copies = spread_.find(number); copies != spread_.end()) {
    copies->second.accepted &= accepted;
    if (--copies->second.open > 0) return;
    accepted = copies->second.accepted;
    spread_.erase(copies);
  }
  window_.settle(number, number, accepted);
  channel_.session().report_later(channel_.number());
}

void Publisher::report() {
  if (!window_.has_news()) return;
  base::Writer& frames = Session::scratch();
  frames.clear();
  window_.drain(
      [&](uint64_t number, bool multiple) {
        write_method(frames, channel_.number(), BasicAck{.delivery_tag = number, .multiple = multiple});
      },
      [&](uint64_t number) {
        write_method(frames, channel_.number(), BasicNack{.delivery_tag = number, .multiple = false, .requeue = false});
      });
  channel_.session().out().write(frames.view());
  channel_.session().wrote();
}

void Publisher::abandon() {
  release_buffers();
  for (const Append& append : appends_) {
    channel_.session().note_append_bytes(-static_cast<int64_t>(append.batch.size()));
  }
  appends_.clear();
}

}  // namespace polylog::amqp
