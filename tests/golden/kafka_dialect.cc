// Kafka for replays: requests and answers by the generated codecs, record batches field by field.
#include <cstdlib>
#include <deque>
#include <type_traits>

#include <fmt/format.h>

#include "base/crc32c.h"
#include "protocol/kafka/gen/field_names.h"
#include "protocol/kafka/record_batch.h"
#include "protocol/kafka/session.h"
#include "tests/golden/dialect.h"
#include "tests/golden/rules.h"

namespace polylog::golden {
namespace {

using namespace kafka;  // messages and codecs

constexpr size_t kFrameSizeBytes = 4;
constexpr size_t kProducerIdAt = 43;

std::string id_text(const base::Uuid& id) { return hex_of(id.bytes); }

void add_batches(Tree& tree, base::View records) {
  while (!records.empty()) {
    const auto header = read_batch_header(records);
    if (!header) {
      tree.add("[]", fmt::format("a part of a batch, {} bytes", records.size()));
      return;
    }
    Tree& batch = tree.add("[]");
    batch.add("base_offset", fmt::to_string(header->base_offset));
    batch.add("leader_epoch", fmt::to_string(header->leader_epoch));
    batch.add("attributes", fmt::to_string(header->attributes));
    batch.add("last_offset_delta", fmt::to_string(header->last_offset_delta));
    batch.add("base_timestamp_ms", fmt::to_string(header->base_timestamp_ms));
    batch.add("max_timestamp_ms", fmt::to_string(header->max_timestamp_ms));
    batch.add("producer_id", fmt::to_string(header->producer_id));
    batch.add("producer_epoch", fmt::to_string(header->producer_epoch));
    batch.add("base_sequence", fmt::to_string(header->base_sequence));
    batch.add("record_count", fmt::to_string(header->record_count));
    batch.add("records",
              text_of(records.subspan(batch_layout::kRecordsAt, header->size_bytes() - batch_layout::kRecordsAt)));
    records = records.subspan(header->size_bytes());
  }
}

// Message -> Tree.
class Describer {
 public:
  explicit Describer(Tree& tree) : tree_(tree) {}

  template <typename T>
  void operator()(const char* name, T& field) {
    Tree& child = tree_.add(name);
    describe(child, field);
  }

  template <typename T>
  static void describe(Tree& tree, T& field) {
    if constexpr (std::is_same_v<T, bool>) {
      tree.value = field ? "1" : "0";
    } else if constexpr (std::is_integral_v<T>) {
      tree.value = std::to_string(field);
    } else if constexpr (std::is_same_v<T, ErrorCode>) {
      tree.value = std::to_string(static_cast<int>(field));
    } else if constexpr (std::is_same_v<T, base::Uuid>) {
      tree.value = id_text(field);
    } else if constexpr (std::is_convertible_v<T, std::string_view>) {
      tree.value = field;
    } else if constexpr (std::is_same_v<T, base::View>) {
      tree.value = text_of(field);
    } else if constexpr (std::is_same_v<T, StreamedRecords>) {
      add_batches(tree, field.bytes);
    } else {
      describe_compound(tree, field);
    }
  }

 private:
  template <typename T>
  static void describe_compound(Tree& tree, std::vector<T>& field) {
    for (T& element : field) describe(tree.add("[]"), element);
  }
  template <typename T>
  static void describe_compound(Tree& tree, std::optional<T>& field) {
    if (field) {
      describe(tree, *field);
    } else {
      tree.value = "null";
    }
  }
  template <typename T>
  static void describe_compound(Tree& tree, T& field) {
    Describer inner(tree);
    visit_named(inner, field);
  }

  Tree& tree_;
};

// Puts polylog's ids in place of recorded ones. Owns the texts that views then point to.
class Substitution {
 public:
  explicit Substitution(const Names& names) : names_(names) {}

  template <typename T>
  void operator()(const char* name, T& field) {
    const Correlated* row = find_correlated(name);
    replace(row != nullptr ? std::string(row->kind) : std::string(), field);
  }
  bool changed() const { return changed_; }

 private:
  template <typename T>
  void replace(const std::string& kind, T& field) {
    if constexpr (std::is_same_v<T, std::string_view>) {
      if (const std::string* ours = known(kind, std::string(field))) field = *ours;
    } else if constexpr (std::is_same_v<T, base::Uuid>) {
      if (const std::string* ours = known(kind, id_text(field))) field = uuid_of(*ours);
    } else if constexpr (std::is_same_v<T, int64_t>) {
      if (const std::string* ours = known(kind, std::to_string(field))) field = std::stoll(*ours);
    } else if constexpr (std::is_same_v<T, base::View>) {
      replace_in_batches(field);
    } else if constexpr (!std::is_arithmetic_v<T> && !std::is_enum_v<T>) {
      replace_compound(kind, field);
    }
  }
  template <typename T>
  void replace_compound(const std::string& kind, std::vector<T>& field) {
    for (T& element : field) replace(kind, element);
  }
  template <typename T>
  void replace_compound(const std::string& kind, std::optional<T>& field) {
    if (field) replace(kind, *field);
  }
  template <typename T>
  void replace_compound(const std::string&, T& field) {
    visit_named(*this, field);
  }

  const std::string* known(const std::string& kind, const std::string& recorded) {
    const std::string* ours = kind.empty() ? nullptr : names_.ours_for(kind, recorded);
    if (ours == nullptr || *ours == recorded) return nullptr;
    changed_ = true;
    return ours;
  }

  static base::Uuid uuid_of(const std::string& hex) {
    base::Uuid id;
    for (size_t i = 0; i < id.bytes.size(); ++i)
      id.bytes[i] = static_cast<uint8_t>(std::stoi(hex.substr(2 * i, 2), nullptr, 16));
    return id;
  }

  // The producer's id is inside the batch, under its checksum.
  void replace_in_batches(base::View& field) {
    const auto header = read_batch_header(field);
    if (!header) return;
    const std::string* ours = known("producer", std::to_string(header->producer_id));
    if (ours == nullptr) return;
    Bytes& batch = batches_.emplace_back(field.begin(), field.end());
    put_be(batch, kProducerIdAt, static_cast<uint64_t>(std::stoll(*ours)), 8);
    put_be(batch, batch_layout::kCrcAt, base::crc32c(base::View(batch).subspan(batch_layout::kAttributesAt)), 4);
    field = batch;
  }
  static void put_be(Bytes& bytes, size_t at, uint64_t value, size_t size) {
    for (size_t i = 0; i < size; ++i) bytes[at + i] = static_cast<uint8_t>(value >> (8 * (size - 1 - i)));
  }

  const Names& names_;
  std::deque<Bytes> batches_;
  bool changed_ = false;
};

template <typename Request>
std::optional<Bytes> substitute_in(base::View unit, base::Reader& in, int16_t version, const Names& names) {
  Request request;
  const size_t head_bytes = unit.size() - in.remaining();
  Substitution substitution(names);
  if (!decode(in, version, request)) return std::nullopt;
  visit_named(substitution, request);
  if (!substitution.changed()) return std::nullopt;
  base::Writer out;
  out.bytes(unit.first(head_bytes));
  encode(out, version, request);
  out.patch_u32be(0, static_cast<uint32_t>(out.size() - kFrameSizeBytes));
  return out.buffer();
}

template <typename Response>
void describe_response(Tree& tree, base::Reader& in, int16_t version) {
  Response response;
  if (!decode(in, version, response) || !in.at_end()) {
    tree.add("malformed", "the answer cannot be decoded");
    return;
  }
  Describer describer(tree);
  visit_named(describer, response);
}

class KafkaListener final : public Listener {
 public:
  void heard_client(base::View unit) override {
    base::Reader in(unit.subspan(kFrameSizeBytes));
    RequestHeader header;
    if (read_request_header(in, header) == HeaderStatus::kOk && expects_answer(in, header)) asked_.push_back(header);
  }

  std::vector<Answer> take_answers(Bytes& bytes) override {
    std::vector<Answer> answers;
    for (;;) {
      const Frame frame = next_frame(bytes);
      if (frame.status != FrameStatus::kComplete) return answers;
      answers.push_back({std::string(kAnswersLane), describe(frame.payload)});
      bytes.erase(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(frame.size_bytes));
    }
  }

  std::map<std::string, size_t> unanswered() const override { return {{std::string(kAnswersLane), asked_.size()}}; }

 private:
  static bool expects_answer(base::Reader in, const RequestHeader& header) {
    ProduceRequest request;
    const bool is_produce = header.api_key == static_cast<int16_t>(ApiKey::kProduce);
    return !is_produce || !decode(in, header.api_version, request) || request.acks != 0;
  }

  Tree describe(base::View payload) {
    if (asked_.empty()) return {std::string(kUnasked), {}, {}};
    const RequestHeader asked = asked_.front();
    asked_.pop_front();
    const auto key = static_cast<ApiKey>(asked.api_key);
    Tree tree{std::string(find_api(asked.api_key)->name), {}, {}};
    base::Reader in(payload);
    if (read_response_header(in, key, asked.api_version) != asked.correlation_id)
      tree.add("correlation_id", "of another request");
    switch (key) {
#define POLYLOG_DESCRIBE_API(name) \
  case ApiKey::k##name: describe_response<name##Response>(tree, in, asked.api_version); break;
      POLYLOG_KAFKA_APIS(POLYLOG_DESCRIBE_API)
#undef POLYLOG_DESCRIBE_API
    }
    return tree;
  }

  std::deque<RequestHeader> asked_;  // client_id is not used: it points to bytes that are gone
};

class KafkaDialect final : public Dialect {
 public:
  KafkaDialect() {
    config_.cluster_id = "AAAAAAAAAAAAAAAAAAAAAA";
    config_.advertised = {"127.0.0.1", 9092};
    config_.fetch_sessions_max = 0;  // as the recorded broker
  }
  std::unique_ptr<io::Handler> make_session(broker::Broker& broker) const override {
    return kafka::make_session(broker, config_);
  }
  std::unique_ptr<Listener> make_listener() const override { return std::make_unique<KafkaListener>(); }
  size_t unit_bytes(base::View bytes) const override {
    const Frame frame = next_frame(bytes);
    return frame.status == FrameStatus::kComplete ? frame.size_bytes : 0;
  }
  Bytes substitute(base::View unit, const Names& names) const override {
    base::Reader in(unit);
    in.skip(kFrameSizeBytes);
    RequestHeader header;
    std::optional<Bytes> changed;
    if (read_request_header(in, header) == HeaderStatus::kOk) {
      switch (static_cast<ApiKey>(header.api_key)) {
#define POLYLOG_SUBSTITUTE_API(name) \
  case ApiKey::k##name: changed = substitute_in<name##Request>(unit, in, header.api_version, names); break;
        POLYLOG_KAFKA_APIS(POLYLOG_SUBSTITUTE_API)
#undef POLYLOG_SUBSTITUTE_API
      }
    }
    return changed ? *changed : Bytes(unit.begin(), unit.end());
  }
  std::string recorded_lane(const std::string& lane, const Names&) const override { return lane; }
  Bytes probe() const override {
    base::Writer out;
    const size_t at = begin_request(out, ApiKey::kApiVersions, 0, 1, "probe");
    encode(out, 0, ApiVersionsRequest{});
    end_response(out, at);
    return out.buffer();
  }

 private:
  Config config_;
};

}  // namespace

std::unique_ptr<Dialect> make_kafka_dialect() { return std::make_unique<KafkaDialect>(); }

}  // namespace polylog::golden
