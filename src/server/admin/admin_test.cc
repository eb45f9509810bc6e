#include "server/admin/admin.h"

#include <doctest/doctest.h>

#include <optional>

#include "broker/engine_test_kit.h"
#include "http/json/value.h"
#include "http/message.h"
#include "http/test_connection.h"
#include "protocol/kafka/mapping.h"
#include "server/admin/resources/batch_page.h"

namespace polylog::server {
namespace {

// An admin listener over an engine of two cells on a virtual clock.
struct Fixture {
  broker::EngineKit kit{2};
  kafka::Config kafka_config;
  std::optional<kafka::CoreShared> kafka_core;  // of the open broker
  AdminState state;
  std::unique_ptr<http::TestConnection> connection;

  Fixture() {
    kit.encodings.add(kafka::kEncodingTag, std::make_unique<kafka::RecordBatchEncoding>());
    state.core_of_cell = {base::CoreId(0), base::CoreId(1)};
    connect();
  }
  void connect() {
    state.kafka = &kafka_core.emplace(*kit.brokers[0], kafka_config);
    for (uint16_t i = 0; i < kit.opened.size(); ++i) {
      if (kit.opened[i]) kit.brokers[0]->tell_all_epoch(base::CellId(i), base::Epoch(1));
    }
    connection = std::make_unique<http::TestConnection>(
        [this](io::Loop&) { return make_admin_session(*kit.brokers[0], state); });
  }
  // Before the broker closes: what hangs on it goes first.
  void disconnect() {
    connection.reset();
    kafka_core.reset();
  }
  void send(std::string_view method, std::string_view target, std::string_view body = {}, std::string_view more = {}) {
    std::string text = std::string(method) + ' ' + std::string(target) + " HTTP/1.1\r\nHost: h\r\n" + std::string(more);
    if (!body.empty()) {
      text += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
    }
    connection->send(text + "\r\n" + std::string(body));
  }
  std::string ask(std::string_view method, std::string_view target, std::string_view body = {},
                  std::string_view more = {}) {
    send(method, target, body, more);
    kit.settle();
    return connection->take_output();
  }
  std::string get(std::string_view target) { return ask("GET", target); }
};

int status_of(const std::string& response) { return std::stoi(response.substr(9, 3)); }

http::Json body_of(const std::string& response) {
  CAPTURE(response);
  CHECK(response.find("Content-Type: application/json\r\n") != std::string::npos);
  auto json = http::parse_json(response.substr(response.find("\r\n\r\n") + 4));
  REQUIRE(json);
  return *json;
}

std::string code_of(const std::string& response) { return body_of(response).find("error")->find("code")->plain(); }

TEST_CASE("admin: /healthz is ok from the start") {
  Fixture f;
  CHECK(f.get("/healthz").starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(f.get("/healthz").ends_with("\r\n\r\nok\n"));
}

TEST_CASE("admin: /readyz is 503 before the broker is ready and when a cell failed") {
  Fixture f;
  std::string trouble;
  f.state.trouble = [&trouble] { return trouble; };
  CHECK(status_of(f.get("/readyz")) == 503);
  f.state.ready = true;
  CHECK(status_of(f.get("/readyz")) == 200);
  trouble = "cell 3: sync failed";
  CHECK(status_of(f.get("/readyz")) == 503);
  CHECK(f.get("/readyz").ends_with("\r\n\r\ncell 3: sync failed\n"));
}

TEST_CASE("admin: /metrics adds up the cores' registries after refreshing them") {
  Fixture f;
  base::Registry first, second;
  f.state.registries = {&first, &second};
  first.counter("polylog_things_total", "Things.").add(2);
  f.state.refresh_metrics = [&] { second.counter("polylog_things_total", "Things.").add(3); };
  const std::string output = f.get("/metrics");
  CHECK(output.find("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n") != std::string::npos);
  CHECK(output.find("\npolylog_things_total 5\n") != std::string::npos);
}

TEST_CASE("admin: the index names every path; others are 404, other methods 405 with Allow") {
  Fixture f;
  for (const char* path : {"/healthz", "/readyz", "/metrics", "/v1/streams"}) {
    CHECK(f.get("/").find(path) != std::string::npos);
    CHECK(f.get("/v1").find(path) != std::string::npos);
  }
  CHECK(code_of(f.get("/nope")) == "not_found");
  CHECK(status_of(f.get("/v1/nope")) == 404);
  CHECK(status_of(f.ask("POST", "/metrics")) == 405);
  const std::string wrong = f.ask("PUT", "/v1/streams");
  CHECK(code_of(wrong) == "method_not_allowed");
  CHECK(wrong.find("\r\nAllow: GET, POST\r\n") != std::string::npos);
  CHECK(status_of(f.ask("HEAD", "/v1/streams")) == 200);
}

TEST_CASE("admin: bad requests get JSON errors, whoever finds them") {
  Fixture f;
  CHECK(code_of(f.ask("POST", "/v1/streams", "{")) == "invalid");
  CHECK(code_of(f.ask("POST", "/v1/streams", "[]")) == "invalid");
  CHECK(code_of(f.ask("POST", "/v1/streams", R"({"nam":"x"})")) == "invalid");
  CHECK(code_of(f.ask("POST", "/v1/streams")) == "invalid");
  CHECK(code_of(f.get("/v1/streams/%zz")) == "invalid");
  CHECK(code_of(f.get("/v1/streams?max=0")) == "invalid");
  CHECK(code_of(f.get("/v1/streams?max=10001")) == "invalid");
  CHECK(status_of(f.get("/v1/streams?max=10000")) == 200);
  CHECK(status_of(f.ask("POST", "/v1/streams", {}, "Content-Length: 2\r\nContent-Type: text/plain\r\n\r\n{}")) == 415);
  f.connect();
  CHECK(code_of(f.ask("POST", "/v1/streams", R"({"name":"x"})", "Origin: http://somewhere\r\n")) == "not_allowed");
  CHECK(code_of(f.ask("GET", "/v1 nonsense")) == "invalid");
  f.connect();
  CHECK(code_of(f.ask("POST", "/v1/streams", {},
                      "Content-Length: " + std::to_string(http::kBodyBytesMax + 1) + "\r\n")) == "too_large");
}

TEST_CASE("admin: a stream from its creation to its end") {
  Fixture f;
  const auto made = f.ask("POST", "/v1/streams", R"({"name":"s","partitions":3,"settings":{"retention.ms":1000}})");
  CHECK(status_of(made) == 201);
  CHECK(body_of(made).find("partitions")->array()->size() == 3);
  CHECK(code_of(f.ask("POST", "/v1/streams", R"({"name":"s"})")) == "exists");
  CHECK(code_of(f.ask("POST", "/v1/streams", R"({"name":"a/b"})")) == "invalid");
  CHECK(code_of(f.ask("POST", "/v1/streams", R"({"name":"t","partitions":0})")) == "invalid");
  CHECK(code_of(f.ask("POST", "/v1/streams", R"({"name":"t","partitions":100001})")) == "invalid");
  CHECK(code_of(f.ask("POST", "/v1/streams", R"({"name":"t","settings":{"no.such":1}})")) == "invalid");
  CHECK(code_of(f.ask("PATCH", "/v1/streams/s", R"({"partitions":2})")) == "invalid");
  const auto altered = body_of(f.ask("PATCH", "/v1/streams/s", R"({"partitions":4,"settings":{"retention.ms":null}})"));
  CHECK(altered.find("partition_count")->integer() == 4);
  for (const http::Json& setting : *altered.find("settings")->array()) {
    CHECK(setting.find("source")->plain() == "default");
  }
  CHECK(body_of(f.get("/v1/streams/s?from_partition=3")).find("partitions")->array()->size() == 1);
  CHECK(body_of(f.get("/v1/streams/s?from_partition=9")).find("partitions")->array()->empty());
  CHECK(status_of(f.ask("DELETE", "/v1/streams/s")) == 204);
  CHECK(code_of(f.get("/v1/streams/s")) == "not_found");
}

TEST_CASE("admin: lists come in pages") {
  Fixture f;
  for (const char* name : {"a", "b", "c"}) f.kit.create(name);
  const auto first = body_of(f.get("/v1/streams?max=2"));
  CHECK(first.find("streams")->array()->size() == 2);
  CHECK(first.find("next")->plain() == "b");
  const auto rest = body_of(f.get("/v1/streams?max=2&after=b"));
  CHECK(rest.find("streams")->array()->size() == 1);
  CHECK(rest.find("next")->is_null());
}

// Three records of the virtual world's time, one and two seconds later.
std::string three_records(int64_t now_ms) {
  const auto time = [now_ms](int64_t later_ms) { return std::to_string(now_ms + later_ms); };
  return R"({"records":[{"key":"k","value":"one","timestamp_ms":)" + time(0) + R"(},{"value":{"base64":"/w=="},)" +
         R"("timestamp_ms":)" + time(1000) + R"(},{"value":"three","timestamp_ms":)" + time(2000) + "}]}";
}

std::string values_of(const http::Json& page) {
  std::string values;
  for (const http::Json& record : *page.find("records")->array()) values += record.find("value")->plain() + ' ';
  return values;
}

TEST_CASE("admin: records are produced, and read back from every kind of place") {
  Fixture f;
  f.kit.create("s");
  const int64_t now_ms = f.kit.world.loop(0).wall_now().ms;
  const auto made = f.ask("POST", "/v1/streams/s/records", three_records(now_ms));
  CHECK(status_of(made) == 201);
  CHECK(body_of(made).find("base_offset")->integer() == 0);
  const auto read = [&](const std::string& from) { return body_of(f.get("/v1/streams/s/records?from=" + from)); };
  CHECK(values_of(read("earliest")) == "one {\"base64\":\"/w==\"} three ");
  CHECK(read("earliest").find("next")->integer() == 3);
  CHECK(values_of(read("latest")).empty());
  CHECK(values_of(read("2")) == "three ");
  CHECK(values_of(read("3")).empty());
  CHECK(values_of(read("-1")) == "three ");
  CHECK(values_of(read("-9")) == values_of(read("earliest")));
  CHECK(values_of(read("time:" + std::to_string(now_ms + 1001))) == "three ");
  CHECK(read("time:" + std::to_string(now_ms + 2001)).find("next")->integer() == 3);
  const auto page = body_of(f.get("/v1/streams/s/records?max=2"));
  CHECK(page.find("records")->array()->size() == 2);
  CHECK(page.find("next")->integer() == 2);
  for (const char* wrong : {"4", "x", "time:x", "-x", ""}) {
    CHECK(status_of(f.get("/v1/streams/s/records?from=" + std::string(wrong))) == 400);
  }
  CHECK(code_of(f.get("/v1/streams/s/records?from=4")) == "out_of_range");
  CHECK(code_of(f.get("/v1/streams/s/records?partition=1")) == "invalid");
  CHECK(status_of(f.get("/v1/streams/s/records?max=10000")) == 200);
  CHECK(code_of(f.get("/v1/streams/s/records?max=10001")) == "invalid");
  CHECK(code_of(f.get("/v1/streams/nope/records")) == "not_found");
}

TEST_CASE("admin: a page of records ends at its size, with one record at least") {
  const kafka::RecordBatchEncoding encoding;
  broker::EncodingRegistry encodings;
  encodings.add(kafka::kEncodingTag, std::make_unique<kafka::RecordBatchEncoding>());
  const auto page_of = [&](size_t value_bytes, size_t messages_max) {
    const std::vector<broker::HubMessage> messages(6, {.body = std::string(value_bytes, 'x')});
    const broker::ReadBatch batch{.base_offset = base::Offset(10),
                                  .count = 6,
                                  .encoding = kafka::kEncodingTag,
                                  .bytes = base::Slice::copy_of(encoding.from_hub(messages, {1}).bytes)};
    http::JsonWriter out;
    BatchPage page(encodings, out, messages_max);
    REQUIRE(page.add(batch, base::Offset(11), base::Offset(15)));
    return std::pair(page.count(), page.next().value);
  };
  CHECK(page_of(1, 100) == std::pair<size_t, int64_t>(4, 15));
  CHECK(page_of(1, 4) == std::pair<size_t, int64_t>(4, 15));
  CHECK(page_of(1, 3) == std::pair<size_t, int64_t>(3, 14));
  CHECK(page_of(kPageBytesMax / 2, 100) == std::pair<size_t, int64_t>(2, 13));
  CHECK(page_of(2 * kPageBytesMax, 100) == std::pair<size_t, int64_t>(1, 12));
}

TEST_CASE("admin: a closed cell is said to be closed, and the others go on") {
  Fixture f;
  const auto made = f.kit.create("s", 2);
  for (const uint32_t partition : {0u, 1u, 0u, 1u}) {
    f.ask("POST", "/v1/streams/s/records",
          R"({"partition":)" + std::to_string(partition) + R"(,"records":[{"value":"x"}]})");
  }
  f.disconnect();
  f.kit.close();
  REQUIRE(f.kit.disk.flip_bit("/cell0/" + storage::WalFiles::name_of(1), 4096 + 130, 0));
  f.kit.open();
  REQUIRE(f.kit.opened == std::vector<bool>{false, true});
  f.connect();
  const uint32_t closed = f.kit.brokers[0]->catalog().find("s")->partitions[0] == base::CellId(0) ? 0 : 1;
  const auto records = [&](uint32_t partition) {
    return f.get("/v1/streams/s/records?partition=" + std::to_string(partition));
  };
  CHECK(code_of(records(closed)) == "unavailable");
  CHECK(status_of(records(1 - closed)) == 200);
  const auto partitions = body_of(f.get("/v1/streams/s"));
  CHECK(partitions.find("partitions")->array()->at(closed).find("start")->is_null());
  CHECK(partitions.find("partitions")->array()->at(1 - closed).find("end")->integer() == 2);
  CHECK(body_of(f.get("/v1/cells")).find("cells")->array()->at(0).find("failed")->boolean() == true);
  const auto groups = body_of(f.get("/v1/groups"));
  CHECK(groups.find("complete")->boolean() == false);
  std::string group = "g";
  while (f.kit.brokers[0]->cell_of_group(group) != base::CellId(0)) group += 'g';
  CHECK(code_of(f.get("/v1/groups/" + group)) == "unavailable");
  CHECK(code_of(f.ask("DELETE", "/v1/groups/" + group)) == "unavailable");
}

TEST_CASE("admin: what a stream does not take is refused") {
  Fixture f;
  f.kit.create("many", 2);
  f.ask("POST", "/v1/streams", R"({"name":"small","settings":{"max.message.bytes":100}})");
  f.ask("POST", "/v1/streams", R"({"name":"keyed","settings":{"cleanup.policy":"compact"}})");
  const auto produce = [&](const char* stream, std::string_view body) {
    return f.ask("POST", "/v1/streams/" + std::string(stream) + "/records", body);
  };
  CHECK(code_of(produce("many", R"({"records":[{"value":"x"}]})")) == "invalid");
  CHECK(code_of(produce("many", R"({"partition":2,"records":[{"value":"x"}]})")) == "invalid");
  CHECK(status_of(produce("many", R"({"partition":1,"records":[{"value":"x"}]})")) == 201);
  CHECK(code_of(produce("small", R"({"records":[{"value":")" + std::string(100, 'x') + "\"}]}")) == "too_large");
  CHECK(code_of(produce("keyed", R"({"records":[{"value":"x"}]})")) == "invalid");
  CHECK(code_of(produce("keyed", R"({"records":[]})")) == "invalid");
  const auto so_many = [](size_t count) {
    std::string body = R"({"partition":0,"records":[{})";
    for (size_t i = 1; i < count; ++i) body += ",{}";
    return body + "]}";
  };
  CHECK(status_of(produce("many", so_many(10'000))) == 201);
  CHECK(code_of(produce("many", so_many(10'001))) == "invalid");
  CHECK(code_of(produce("keyed", R"({"records":[{"value":1}]})")) == "invalid");
  CHECK(code_of(produce("keyed", R"({})")) == "invalid");
}

TEST_CASE("admin: a read waits for a record, but not longer than it was told") {
  Fixture f;
  f.kit.create("s");
  f.send("GET", "/v1/streams/s/records?from=latest&wait_ms=10000");
  f.kit.world.run_for(std::chrono::seconds(9));
  CHECK(f.connection->take_output().empty());
  const auto stream = f.kit.brokers[0]->catalog().find("s");
  const auto built = kafka::RecordBatchEncoding().from_hub(std::vector<broker::HubMessage>{{.body = "late"}}, {1});
  f.kit.ask<broker::AppendDone>(stream->key(), broker::AppendRequest{.partition = stream->key(),
                                                                     .owned = base::Slice::copy_of(built.bytes),
                                                                     .encoding = kafka::kEncodingTag,
                                                                     .count = 1});
  CHECK(values_of(body_of(f.connection->take_output())) == "late ");
  f.send("GET", "/v1/streams/s/records?from=latest&wait_ms=10000");
  f.kit.world.run_for(std::chrono::milliseconds(10'001));
  CHECK(values_of(body_of(f.connection->take_output())).empty());
  CHECK(code_of(f.get("/v1/streams/s/records?wait_ms=30001")) == "invalid");
}

TEST_CASE("admin: a client that leaves while it waits leaves nothing behind") {
  Fixture f;
  f.kit.create("s");
  f.send("GET", "/v1/streams/s/records?from=latest&wait_ms=10000");
  f.kit.settle();
  f.connection->close_now();
  f.kit.world.run_for(std::chrono::seconds(60));
  CHECK(f.connection->take_output().empty());
}

TEST_CASE("admin: a queue is looked into without taking anything, purged and deleted") {
  Fixture f;
  const auto made = f.kit.create("q", 1, broker::StreamKind::kQueue);
  std::vector<broker::HubMessage> messages;
  for (int i = 0; i < 5; ++i) messages.push_back({.body = std::to_string(i)});
  const auto key = made.record->key();
  f.kit.ask<broker::AppendDone>(
      key,
      broker::AppendRequest{.partition = key,
                            .owned = base::Slice::copy_of(kafka::RecordBatchEncoding().from_hub(messages, {1}).bytes),
                            .encoding = kafka::kEncodingTag,
                            .count = 5});
  f.kit.ask<broker::AcquireDone>(key, broker::AcquireRequest{key});
  const auto peeked = body_of(f.get("/v1/queues/q/messages?max=3"));
  REQUIRE(peeked.find("messages")->array()->size() == 3);
  CHECK(peeked.find("messages")->array()->front().find("value")->plain() == "1");
  const auto queue = body_of(f.get("/v1/queues/q"));
  CHECK(queue.find("ready")->integer() == 4);
  CHECK(queue.find("unacked")->integer() == 1);
  CHECK(body_of(f.get("/v1/queues")).find("queues")->array()->size() == 1);
  CHECK(code_of(f.get("/v1/streams/q")) == "not_found");
  CHECK(body_of(f.ask("DELETE", "/v1/queues/q/messages")).find("purged")->integer() == 4);
  CHECK(body_of(f.get("/v1/queues/q/messages")).find("messages")->array()->empty());
  CHECK(status_of(f.get("/v1/queues/q/messages?max=1000")) == 200);
  CHECK(code_of(f.get("/v1/queues/q/messages?max=1001")) == "invalid");
  CHECK(status_of(f.ask("DELETE", "/v1/queues/q")) == 204);
  CHECK(code_of(f.ask("DELETE", "/v1/queues/q")) == "not_found");
}

TEST_CASE("admin: a group's offsets are moved while it is empty, and shown with their lag") {
  Fixture f;
  f.kit.create("s");
  f.ask("POST", "/v1/streams/s/records", three_records(f.kit.world.loop(0).wall_now().ms));
  CHECK(code_of(f.get("/v1/groups/g")) == "not_found");
  CHECK(status_of(f.ask("PUT", "/v1/groups/g/offsets", R"({"stream":"s","to":1})")) == 200);
  const auto group = body_of(f.get("/v1/groups/g"));
  CHECK(group.find("state")->plain() == "empty");
  const http::Json& offset = group.find("offsets")->array()->at(0);
  CHECK(offset.find("offset")->integer() == 1);
  CHECK(offset.find("end")->integer() == 3);
  CHECK(offset.find("lag")->integer() == 2);
  CHECK(body_of(f.get("/v1/groups")).find("groups")->array()->size() == 1);
  CHECK(body_of(f.get("/v1/groups")).find("complete")->boolean() == true);
  for (const auto& [to, expected] :
       {std::pair{R"("earliest")", 0}, {R"("latest")", 3}, {R"("-1")", 2}, {R"("time:9999999999999")", 3}}) {
    const auto moved = f.ask("PUT", "/v1/groups/g/offsets", std::string(R"({"stream":"s","to":)") + to + "}");
    CHECK(body_of(moved).find("offsets")->array()->at(0).find("offset")->integer() == expected);
  }
  CHECK(code_of(f.ask("PUT", "/v1/groups/g/offsets", R"({"stream":"s","to":4})")) == "out_of_range");
  CHECK(code_of(f.ask("PUT", "/v1/groups/g/offsets", R"({"stream":"s","partitions":[1],"to":0})")) == "invalid");
  CHECK(code_of(f.ask("PUT", "/v1/groups/g/offsets", R"({"stream":"nope","to":0})")) == "not_found");
  CHECK(code_of(f.ask("PUT", "/v1/groups/g/offsets", R"({"stream":"s"})")) == "invalid");
  CHECK(status_of(f.ask("DELETE", "/v1/groups/g")) == 204);
  CHECK(code_of(f.ask("DELETE", "/v1/groups/g")) == "not_found");
}

TEST_CASE("admin: a group with members keeps its offsets") {
  Fixture f;
  f.kit.create("s");
  broker::JoinRequest join{.group = "g", .session_timeout_ms = 30'000, .protocol_type = "consumer"};
  join.protocols = {{"range", "m"}};
  const base::CellId cell = f.kit.brokers[0]->cell_of_group("g");
  f.kit.brokers[0]->submit(cell, {f.kit.session->id, broker::Token{900}}, broker::GroupRequest(join));
  f.kit.settle();
  CHECK(body_of(f.get("/v1/groups/g")).find("members")->array()->size() == 1);
  CHECK(code_of(f.ask("PUT", "/v1/groups/g/offsets", R"({"stream":"s","to":"earliest"})")) == "in_use");
  CHECK(code_of(f.ask("DELETE", "/v1/groups/g")) == "in_use");
}

TEST_CASE("admin: status, cells, connections and config say what they know") {
  Fixture f;
  f.state.ready = true;
  f.state.config.sources["cores"] = "--cores";
  f.state.found["cores"] = "2";
  f.state.connections = [] { return std::map<std::string, int64_t>{{"a", 2}, {"b", 3}}; };
  CHECK(body_of(f.get("/v1/status")).find("ready")->boolean() == true);
  CHECK(body_of(f.get("/v1/cells")).find("cells")->array()->size() == 2);
  CHECK(body_of(f.get("/v1/connections")).find("total")->integer() == 5);
  for (const http::Json& setting : *body_of(f.get("/v1/config")).find("settings")->array()) {
    const bool cores = setting.find("key")->plain() == "cores";
    CHECK(setting.find("source")->plain() == (cores ? "--cores" : "default"));
    if (cores) CHECK(setting.find("in_force")->plain() == "2");
  }
}

TEST_CASE("admin: pipelined requests are answered in order") {
  Fixture f;
  f.send("GET", "/v1/cells");
  f.send("GET", "/healthz");
  f.kit.settle();
  const std::string output = f.connection->take_output();
  CHECK(output.find("\"cells\"") < output.find("\r\n\r\nok\n"));
  CHECK(output.ends_with("\r\n\r\nok\n"));
}

}  // namespace
}  // namespace polylog::server
