#include "protocol/amqp/mapping.h"

#include <doctest/doctest.h>

#include "protocol/amqp/field_table.h"
#include "protocol/amqp/properties.h"

namespace polylog::amqp {
namespace {

using broker::HubMessage;

// Through AMQP's bytes and back.
HubMessage round_trip(const HubMessage& message) {
  base::Writer properties;
  encode_properties(properties, message);
  return to_hub({{}, "", message.subject, properties.view(), base::as_view(message.body.value_or(""))});
}

const broker::HeaderValue& header(const HubMessage& message, std::string_view name) {
  for (const auto& header : message.headers) {
    if (header.name == name) return header.value;
  }
  FAIL("no header " << name);
  std::abort();
}

TEST_CASE("amqp mapping: every property survives a round trip") {
  HubMessage message;
  message.body = "hello";
  message.subject = "orders";
  message.timestamp = base::WallTime{1'700'000'000'000};
  message.priority = 4;
  message.durable = true;
  message.time_to_live_ms = 60'000;
  message.message_id = "m";
  message.correlation_id = "c";
  message.reply_to = "r";
  message.content_type = "text/plain";
  message.content_encoding = "gzip";
  message.type = "t";
  message.user_id = "guest";
  message.app_id = "a";
  const HubMessage back = round_trip(message);
  CHECK(back.body == message.body);
  CHECK(back.subject == message.subject);
  CHECK(back.timestamp == message.timestamp);
  CHECK(back.priority == message.priority);
  CHECK(back.durable == message.durable);
  CHECK(back.time_to_live_ms == message.time_to_live_ms);
  CHECK(back.message_id == message.message_id);
  CHECK(back.correlation_id == message.correlation_id);
  CHECK(back.reply_to == message.reply_to);
  CHECK(back.content_type == message.content_type);
  CHECK(back.content_encoding == message.content_encoding);
  CHECK(back.type == message.type);
  CHECK(back.user_id == message.user_id);
  CHECK(back.app_id == message.app_id);
}

TEST_CASE("amqp mapping: every header type survives a round trip") {
  HubMessage message;
  message.body = "";
  message.headers = {{"text", std::string("grün")},  {"yes", true},
                     {"number", int64_t{-5}},        {"real", 1.5},
                     {"when", base::WallTime{3000}}, {"bytes", broker::Binary{std::string("\0\xFF", 2)}},
                     {"nothing", std::monostate{}}};
  const HubMessage back = round_trip(message);
  REQUIRE(back.headers.size() == message.headers.size());
  for (size_t i = 0; i < message.headers.size(); ++i) {
    CHECK(back.headers[i].name == message.headers[i].name);
    CHECK((back.headers[i].value == message.headers[i].value));
  }
}

TEST_CASE("amqp mapping: keys and missing bodies survive as headers, an empty body stays empty") {
  HubMessage message;
  message.key = "customer 7";
  HubMessage back = round_trip(message);
  CHECK(back.key == message.key);
  CHECK_FALSE(back.body.has_value());
  CHECK(back.headers.empty());

  message.key = std::string("\xFF\x00", 2);
  message.body = "";
  back = round_trip(message);
  CHECK(back.key == message.key);
  CHECK(back.body == "");
}

TEST_CASE("amqp mapping: what has no counterpart becomes text") {
  base::Writer bytes;
  {
    TableWriter table(bytes);
    {
      TableWriter inner = table.begin_table("inner");
      inner.put_i32("a", 1);
    }
    table.put_u32("wide", 7);
  }
  base::Writer properties;
  encode(properties, BasicProperties{.headers = bytes.view()});
  const HubMessage message = to_hub({{5}, "", "q", properties.view(), {}});
  CHECK(std::get<std::string>(header(message, "inner")) == "{a=1}");
  CHECK(std::get<int64_t>(header(message, "wide")) == 7);
  CHECK(message.timestamp == base::WallTime{5});  // none was sent: when it arrived
}

TEST_CASE("amqp mapping: a text too long for its property moves to a header") {
  HubMessage message;
  message.body = "";
  message.message_id = std::string(256, 'm');
  message.correlation_id = std::string(255, 'c');
  const HubMessage back = round_trip(message);
  CHECK_FALSE(back.message_id.has_value());
  CHECK(std::get<std::string>(header(back, "x-message-id")) == *message.message_id);
  CHECK(back.correlation_id == message.correlation_id);
}

TEST_CASE("amqp mapping: the stream offset joins the headers that are there") {
  base::Writer table_bytes;
  TableWriter(table_bytes).put_text("colour", "red");
  base::Writer properties;
  encode(properties, BasicProperties{.headers = table_bytes.view(), .delivery_mode = 2});
  base::Writer marked;
  encode_with_stream_offset(marked, properties.view(), base::Offset(41));
  const auto view = PropertiesView::parse(marked.view());
  REQUIRE(view.has_value());
  CHECK(view->is_persistent());
  CHECK(find(*view->headers(), "x-stream-offset")->integer == 41);
  CHECK(find(*view->headers(), "x-stream-offset")->type == FieldType::kInt64);
  CHECK(find(*view->headers(), "colour")->text() == "red");
}

TEST_CASE("amqp mapping: messages from nowhere become one batch that reads back the same") {
  const std::vector<HubMessage> sent = {{.body = "one", .key = "k", .subject = "q", .timestamp = base::WallTime{7000}},
                                        {.body = std::nullopt}};
  const auto built = AmqpEncoding().from_hub(sent, base::WallTime{5});
  CHECK(built.max_ts == base::WallTime{7000});
  std::vector<HubMessage> messages;
  REQUIRE(AmqpEncoding().to_hub(built.bytes, base::Offset(0),
                                [&](base::Offset, HubMessage message) { messages.push_back(std::move(message)); }));
  REQUIRE(messages.size() == 2);
  CHECK(messages[0].body == "one");
  CHECK(messages[0].key == "k");
  CHECK(messages[0].subject == "q");
  CHECK(messages[0].timestamp == base::WallTime{7000});
  CHECK_FALSE(messages[1].body.has_value());
  CHECK(messages[1].timestamp == base::WallTime{5});
}

TEST_CASE("amqp mapping: a damaged batch is an error, not a message") {
  const std::vector<uint8_t> bytes(64, 0xEE);
  bool visited = false;
  CHECK_FALSE(AmqpEncoding().to_hub(bytes, base::Offset(0), [&](base::Offset, HubMessage) { visited = true; }));
  CHECK_FALSE(visited);
}

}  // namespace
}  // namespace polylog::amqp
