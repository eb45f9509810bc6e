// AMQP 0-9-1 for replays: methods by the generated codecs, a method and its content as one answer.
#include <deque>
#include <type_traits>

#include <fmt/format.h>

#include "protocol/amqp/connection.h"
#include "protocol/amqp/field_table.h"
#include "protocol/amqp/gen/field_names.h"
#include "protocol/amqp/properties.h"
#include "protocol/amqp/wire.h"
#include "tests/golden/dialect.h"
#include "tests/golden/rules.h"

namespace polylog::golden {
namespace {

using namespace amqp;  // methods and codecs

constexpr std::string_view kReplies = "replies";
constexpr std::string_view kDeliveries = "deliveries to ";  // and a consumer tag: the end of a lane's name

void add_table(Tree& tree, base::View table);

void add_value(Tree& tree, const FieldValue& value) {
  if (value.type == FieldType::kTable) return add_table(tree, value.bytes);
  tree.value = fmt::format("{} {}", name_of(value.type), to_text(value));
}

// In any order: TableReader's entries become named children.
void add_table(Tree& tree, base::View table) {
  TableReader in(table);
  for (Field field; in.next(field);) add_value(tree.add(std::string(field.key)), field.value);
  if (!in.ok()) tree.add("malformed", "the table cannot be decoded");
}

class Describer {
 public:
  explicit Describer(Tree& tree) : tree_(tree) {}
  void operator()(const char* name, base::View table) { add_table(tree_.add(name), table); }
  void operator()(const char* name, std::string_view text) { tree_.add(name, text_of(base::as_view(text))); }
  template <typename T>
    requires std::is_arithmetic_v<T>
  void operator()(const char* name, T number) {
    tree_.add(name, std::to_string(number));
  }

 private:
  Tree& tree_;
};

class Substitution {
 public:
  explicit Substitution(const Names& names) : names_(names) {}
  void operator()(const char* name, std::string_view& text) {
    const Correlated* row = find_correlated(name);
    const std::string* ours = row != nullptr ? names_.ours_for(std::string(row->kind), std::string(text)) : nullptr;
    if (ours == nullptr || *ours == text) return;
    text = *ours;
    changed_ = true;
  }
  template <typename T>
  void operator()(const char*, T&) {}
  bool changed() const { return changed_; }

 private:
  const Names& names_;
  bool changed_ = false;
};

template <typename Method>
void describe_method(Tree& tree, base::Reader& in) {
  Method method;
  if (!decode(in, method)) {
    tree.add("malformed", "the method cannot be decoded");
    return;
  }
  Describer describer(tree);
  visit_named(describer, method);
}

Tree describe(MethodId id, base::Reader& in) {
  Tree tree{name_of(id), {}, {}};
  switch (id) {
#define POLYLOG_DESCRIBE_METHOD(name) \
  case name::kId: describe_method<name>(tree, in); break;
    POLYLOG_AMQP_METHODS(POLYLOG_DESCRIBE_METHOD)
#undef POLYLOG_DESCRIBE_METHOD
  }
  return tree;
}

template <typename Method>
std::optional<Bytes> substitute_in(uint16_t channel, base::Reader& in, const Names& names) {
  Method method;
  Substitution substitution(names);
  if (!decode(in, method)) return std::nullopt;
  visit_named(substitution, method);
  if (!substitution.changed()) return std::nullopt;
  base::Writer out;
  write_method(out, channel, method);
  return out.buffer();
}

void add_properties(Tree& tree, const BasicProperties& p) {
  Describer add(tree);
  const auto text = [&](const char* name, const std::optional<std::string_view>& value) {
    if (value) add(name, *value);
  };
  const auto number = [&](const char* name, const auto& value) {
    if (value) add(name, *value);
  };
  text("content_type", p.content_type);
  text("content_encoding", p.content_encoding);
  if (p.headers) add("headers", *p.headers);
  number("delivery_mode", p.delivery_mode);
  number("priority", p.priority);
  text("correlation_id", p.correlation_id);
  text("reply_to", p.reply_to);
  text("expiration", p.expiration);
  text("message_id", p.message_id);
  number("timestamp", p.timestamp);
  text("type", p.type);
  text("user_id", p.user_id);
  text("app_id", p.app_id);
  text("cluster_id", p.cluster_id);
}

// What a client says that is answered with a method on the same channel, unless its no-wait bit is set.
bool has_reply(MethodId id) {
  switch (id) {
    case MethodId::kConnectionStartOk:
    case MethodId::kConnectionOpen:
    case MethodId::kConnectionClose:
    case MethodId::kConnectionUpdateSecret:
    case MethodId::kChannelOpen:
    case MethodId::kChannelFlow:
    case MethodId::kChannelClose:
    case MethodId::kAccessRequest:
    case MethodId::kExchangeDeclare:
    case MethodId::kExchangeDelete:
    case MethodId::kExchangeBind:
    case MethodId::kExchangeUnbind:
    case MethodId::kQueueDeclare:
    case MethodId::kQueueBind:
    case MethodId::kQueueUnbind:
    case MethodId::kQueuePurge:
    case MethodId::kQueueDelete:
    case MethodId::kBasicQos:
    case MethodId::kBasicConsume:
    case MethodId::kBasicCancel:
    case MethodId::kBasicGet:
    case MethodId::kBasicRecover:
    case MethodId::kTxSelect:
    case MethodId::kTxCommit:
    case MethodId::kTxRollback:
    case MethodId::kConfirmSelect: return true;
    default: return false;
  }
}

// Confirms come with `multiple` or one by one, as the broker likes: each confirmed tag is an answer of its own.
class AmqpListener final : public Listener {
 public:
  void heard_client(base::View unit) override {
    const FrameRead read = read_frame(unit, 0);
    if (read.status != FrameRead::Status::kFrame) return ask(0, kReplies);  // the protocol header
    const FrameView& frame = read.frame;
    Channel& channel = channels_[frame.channel];
    switch (frame.type) {
      case FrameType::kHeartbeat: return;
      case FrameType::kMethod: return on_request(channel, frame);
      case FrameType::kHeader:
        if (const auto header = parse_content_header(frame.payload)) channel.publishing_left = header->body_size;
        break;
      case FrameType::kBody:
        channel.publishing_left -= std::min<uint64_t>(channel.publishing_left, frame.payload.size());
        break;
    }
    if (channel.confirms && channel.publishing_left == 0) ask(frame.channel, confirm_of(++channel.published));
  }

  std::vector<Answer> take_answers(Bytes& bytes) override {
    std::vector<Answer> answers;
    for (;;) {
      const FrameRead read = read_frame(bytes, 0);
      if (read.status != FrameRead::Status::kFrame) return answers;
      on_frame(read.frame, answers);
      bytes.erase(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(read.frame.total_bytes()));
    }
  }

  std::map<std::string, size_t> unanswered() const override { return unanswered_; }

 private:
  struct Channel {
    // What the client said
    bool confirms = false;
    uint64_t published = 0;
    uint64_t publishing_left = 0;
    // What the broker said
    std::optional<Tree> open;  // its content is still to come
    std::string lane;
    uint64_t body_left = 0;
    std::string body;
    uint64_t confirmed = 0;
  };

  static std::string confirm_of(uint64_t tag) { return fmt::format("confirm of {}", tag); }
  static std::string lane_name(uint16_t channel, std::string_view what) {
    return fmt::format("channel {} {}", channel, what);
  }
  void ask(uint16_t channel, std::string_view what) { ++unanswered_[lane_name(channel, what)]; }

  void on_request(Channel& channel, const FrameView& frame) {
    base::Reader in(frame.payload);
    const MethodId id = read_method_id(in);
    if (!has_reply(id)) return;
    const Tree tree = describe(id, in);
    if (id == MethodId::kChannelOpen) channel = {};
    if (id == MethodId::kConfirmSelect) channel.confirms = true;
    if (const Tree* no_wait = tree.find("no_wait"); no_wait == nullptr || no_wait->value == "0")
      ask(frame.channel, kReplies);
  }

  // Each answer is to one request.
  void answer(std::vector<Answer>& answers, const std::string& lane, Tree&& tree) {
    if (const auto asked = unanswered_.find(lane); asked != unanswered_.end() && asked->second > 0) --asked->second;
    answers.push_back({lane, std::move(tree)});
  }

  void on_frame(const FrameView& frame, std::vector<Answer>& answers) {
    Channel& channel = channels_[frame.channel];
    switch (frame.type) {
      case FrameType::kHeartbeat: return;
      case FrameType::kMethod: return on_method(channel, frame, answers);
      case FrameType::kHeader: return on_header(channel, frame, answers);
      case FrameType::kBody:
        channel.body += text_of(frame.payload);
        channel.body_left -= std::min<uint64_t>(channel.body_left, frame.payload.size());
        return finish(channel, answers);
    }
  }

  void on_method(Channel& channel, const FrameView& frame, std::vector<Answer>& answers) {
    base::Reader in(frame.payload);
    const MethodId id = read_method_id(in);
    if (id == MethodId::kBasicAck || id == MethodId::kBasicNack) return on_confirm(channel, frame, id, in, answers);
    Tree tree = describe(id, in);
    const std::string lane = lane_name(frame.channel, lane_of(id, tree));
    if (!has_content(id)) return answer(answers, lane, std::move(tree));
    channel.open = std::move(tree);
    channel.lane = lane;
  }

  // Deliveries and returned messages come when they like; all other methods are replies, in order.
  static std::string lane_of(MethodId id, const Tree& tree) {
    if (id == MethodId::kBasicReturn) return "returns";
    if (id != MethodId::kBasicDeliver) return std::string(kReplies);
    const Tree* tag = tree.find("consumer_tag");
    return std::string(kDeliveries) + (tag != nullptr ? tag->value : "");
  }

  void on_header(Channel& channel, const FrameView& frame, std::vector<Answer>& answers) {
    const auto header = parse_content_header(frame.payload);
    const auto properties = header ? PropertiesView::parse(header->property_bytes) : std::nullopt;
    if (!channel.open || !properties) {
      answers.push_back({"malformed", {"content header", "unexpected or malformed", {}}});
      return;
    }
    add_properties(channel.open->add("properties"), properties->all());
    channel.open->add("body_size", std::to_string(header->body_size));
    channel.body_left = header->body_size;
    channel.body.clear();
    finish(channel, answers);
  }

  void finish(Channel& channel, std::vector<Answer>& answers) {
    if (channel.body_left > 0 || !channel.open) return;
    channel.open->add("body", channel.body);
    answer(answers, channel.lane, std::move(*channel.open));
    channel.open.reset();
  }

  void on_confirm(Channel& channel, const FrameView& frame, MethodId id, base::Reader& in,
                  std::vector<Answer>& answers) {
    const uint64_t tag = in.u64be();
    const bool multiple = (in.u8() & 1) != 0;
    for (uint64_t each = multiple ? channel.confirmed + 1 : tag; each <= tag; ++each) {
      Tree tree{name_of(id), {}, {}};
      tree.add("delivery_tag", std::to_string(each));
      answer(answers, lane_name(frame.channel, confirm_of(each)), std::move(tree));
    }
    channel.confirmed = std::max(channel.confirmed, tag);
  }

  std::map<uint16_t, Channel> channels_;
  std::map<std::string, size_t> unanswered_;  // by lane
};

class AmqpDialect final : public Dialect {
 public:
  std::unique_ptr<io::Handler> make_session(broker::Broker& broker) const override {
    return amqp::make_session(broker, config_);
  }
  std::unique_ptr<Listener> make_listener() const override { return std::make_unique<AmqpListener>(); }
  size_t unit_bytes(base::View bytes) const override {
    if (!bytes.empty() && bytes[0] == 'A') return bytes.size() >= kProtocolHeaderBytes ? kProtocolHeaderBytes : 0;
    const FrameRead read = read_frame(bytes, 0);
    return read.status == FrameRead::Status::kFrame ? read.frame.total_bytes() : 0;
  }
  Bytes substitute(base::View unit, const Names& names) const override {
    Bytes same(unit.begin(), unit.end());
    const FrameRead read = read_frame(unit, 0);
    if (read.status != FrameRead::Status::kFrame || read.frame.type != FrameType::kMethod) return same;
    base::Reader in(read.frame.payload);
    std::optional<Bytes> changed;
    switch (read_method_id(in)) {
#define POLYLOG_SUBSTITUTE_METHOD(name) \
  case name::kId: changed = substitute_in<name>(read.frame.channel, in, names); break;
      POLYLOG_AMQP_METHODS(POLYLOG_SUBSTITUTE_METHOD)
#undef POLYLOG_SUBSTITUTE_METHOD
    }
    return changed ? *changed : same;
  }
  std::string recorded_lane(const std::string& lane, const Names& names) const override {
    const size_t at = lane.find(kDeliveries);
    if (at == std::string::npos) return lane;
    const std::string* recorded = names.recorded_for("consumer", lane.substr(at + kDeliveries.size()));
    return recorded != nullptr ? lane.substr(0, at + kDeliveries.size()) + *recorded : lane;
  }
  Bytes probe() const override {
    const base::View greeting = protocol_header_091();
    return {greeting.begin(), greeting.end()};
  }

 private:
  Config config_;
};

}  // namespace

std::unique_ptr<Dialect> make_amqp_dialect() { return std::make_unique<AmqpDialect>(); }

}  // namespace polylog::golden
