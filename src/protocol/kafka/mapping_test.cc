#include "protocol/kafka/mapping.h"

#include <doctest/doctest.h>

namespace polylog::kafka {
namespace {

using broker::HubMessage;
using Bytes = std::vector<uint8_t>;

std::vector<std::pair<int64_t, HubMessage>> hub_messages(base::View batches) {
  const RecordBatchEncoding encoding;
  std::vector<std::pair<int64_t, HubMessage>> messages;
  while (!batches.empty()) {
    const auto header = read_batch_header(batches);
    REQUIRE(header);
    REQUIRE(encoding.to_hub(
        batches.first(header->size_bytes()), base::Offset(header->base_offset),
        [&](base::Offset offset, HubMessage message) { messages.emplace_back(offset.value, std::move(message)); }));
    batches = batches.subspan(header->size_bytes());
  }
  return messages;
}

const std::string* text_header(const HubMessage& message, std::string_view name) {
  for (const broker::Header& header : message.headers) {
    if (header.name == name) return std::get_if<std::string>(&header.value);
  }
  return nullptr;
}

Bytes one_record(const HubMessage& message) {
  HubBatches out(base::Epoch(3), {77}, "the-stream");
  out.add(base::Offset(9), message);
  return out.finish();
}

}  // namespace

TEST_CASE("records_reach_the_hub_whole") {
  const uint8_t not_text[] = {0xFF, 0x00};
  const RecordHeader headers[] = {{"text", base::as_view("grün")}, {"binary", base::View(not_text)}, {"null", {}}};
  BatchBuilder builder;
  builder.add(1000, base::as_view("key"), base::as_view("value"), headers);
  builder.add(1001, std::nullopt, base::as_view(""));
  builder.add(1002, base::as_view(""), std::nullopt);
  Bytes batch = builder.finish();
  const RecordBatchEncoding encoding;
  encoding.place(batch, base::Offset(40), base::Epoch(2));
  CHECK(read_batch_header(batch)->leader_epoch == 2);

  const auto messages = hub_messages(batch);
  REQUIRE(messages.size() == 3);
  CHECK(messages[0].first == 40);
  CHECK(messages[0].second.body == "value");
  CHECK(messages[0].second.key == "key");
  CHECK(messages[0].second.timestamp == base::WallTime{1000});
  REQUIRE(messages[0].second.headers.size() == 3);
  CHECK(*text_header(messages[0].second, "text") == "grün");
  CHECK(std::get<broker::Binary>(messages[0].second.headers[1].value).bytes.size() == 2);
  CHECK(std::holds_alternative<std::monostate>(messages[0].second.headers[2].value));
  CHECK(messages[1].second.body == "");
  CHECK_FALSE(messages[1].second.key);
  CHECK_FALSE(messages[2].second.body);
  CHECK(messages[2].first == 42);
}

TEST_CASE("every_hub_value_has_a_record_header") {
  HubMessage message{.body = "b", .subject = "routing.key", .priority = 7, .durable = true, .time_to_live_ms = 60000};
  message.headers = {{"bool", true},
                     {"int", int64_t{-5}},
                     {"double", 0.1},
                     {"time", base::WallTime{123}},
                     {"text", std::string("x")},
                     {"binary", broker::Binary{"\xFF"}},
                     {"null", std::monostate{}},
                     {"text", std::string("again")}};
  message.message_id = "m";
  message.correlation_id = "c";
  message.reply_to = "r";
  message.content_type = "text/plain";
  message.content_encoding = "gzip";
  message.type = "t";
  message.user_id = "u";
  message.app_id = "a";
  const Bytes batch = one_record(message);
  CHECK(read_batch_header(batch)->base_offset == 9);
  CHECK(read_batch_header(batch)->leader_epoch == 3);
  CHECK(validate_batch(batch, {}).error().code == ErrorCode::kInvalidRecord);  // sound but for its offset
  const auto back = hub_messages(batch).at(0).second;
  CHECK(back.body == "b");
  CHECK(back.timestamp == base::WallTime{77});  // the append time: the message has none
  for (const auto& [name, value] : {std::pair<const char*, const char*>{"message-id", "m"},
                                    {"correlation-id", "c"},
                                    {"reply-to", "r"},
                                    {"content-type", "text/plain"},
                                    {"content-encoding", "gzip"},
                                    {"type", "t"},
                                    {"user-id", "u"},
                                    {"app-id", "a"},
                                    {"priority", "7"},
                                    {"time-to-live-ms", "60000"},
                                    {"subject", "routing.key"},
                                    {"bool", "true"},
                                    {"int", "-5"},
                                    {"double", "0.1"},
                                    {"time", "123"},
                                    {"text", "x"}}) {
    INFO(name);
    REQUIRE(text_header(back, name) != nullptr);
    CHECK(*text_header(back, name) == value);
  }
  CHECK(back.headers.back().name == "text");
  CHECK(back.headers.size() == 11 + 8);
}

TEST_CASE("a_subject_that_is_the_streams_name_says_nothing") {
  CHECK(hub_messages(one_record({.subject = "the-stream"})).at(0).second.headers.empty());
}

TEST_CASE("messages_from_nowhere_become_one_batch_that_reads_back_the_same") {
  const std::vector<HubMessage> sent = {
      {.body = "one", .key = "k", .headers = {{"h", std::string("v")}}, .timestamp = base::WallTime{7}},
      {.body = std::nullopt, .key = "k"}};
  const auto built = RecordBatchEncoding().from_hub(sent, base::WallTime{5});
  CHECK(built.max_ts == base::WallTime{7});
  REQUIRE(validate_batch(built.bytes, {.depth = Depth::kFull}));
  const auto messages = hub_messages(built.bytes);
  REQUIRE(messages.size() == 2);
  CHECK(messages[0].second.body == "one");
  CHECK(messages[0].second.headers[0].name == "h");
  CHECK(messages[0].second.timestamp == base::WallTime{7});
  CHECK_FALSE(messages[1].second.body.has_value());
  CHECK(messages[1].second.timestamp == base::WallTime{5});
}

TEST_CASE("gaps_in_offsets_begin_a_new_batch") {
  HubBatches out(base::Epoch(1), {5}, "s");
  for (const int64_t offset : {3, 4, 8}) out.add(base::Offset(offset), {.body = std::to_string(offset)});
  const Bytes batches = out.finish();
  CHECK(read_batch_header(batches)->record_count == 2);
  const auto messages = hub_messages(batches);
  REQUIRE(messages.size() == 3);
  for (const auto& [offset, message] : messages) CHECK(message.body == std::to_string(offset));
  CHECK(HubBatches(base::Epoch(1), {5}, "s").finish().empty());
}

TEST_CASE("control_batches_have_no_messages_and_damage_is_reported") {
  BatchBuilder builder;
  builder.add(0, base::as_view("k"), base::as_view("v"));
  const Bytes control = builder.finish({.attributes = BatchHeader::kControlBit | BatchHeader::kTransactionalBit});
  CHECK(hub_messages(control).empty());
  builder.add(0, base::as_view("k"), base::as_view("v"));
  Bytes damaged = builder.finish();
  damaged[batch_layout::kRecordsAt] = 0x7E;
  const RecordBatchEncoding encoding;
  CHECK_FALSE(encoding.to_hub(damaged, base::Offset(0), [](base::Offset, const HubMessage&) {}));
  CHECK_FALSE(encoding.to_hub(base::View(damaged).first(20), base::Offset(0), [](base::Offset, const HubMessage&) {}));
}

}  // namespace polylog::kafka
