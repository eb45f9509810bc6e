#include "protocol/amqp/batch.h"

#include <doctest/doctest.h>

#include "protocol/amqp/properties.h"

namespace polylog::amqp {
namespace {

std::vector<uint8_t> properties_of(const BasicProperties& properties) {
  base::Writer out;
  encode(out, properties);
  return std::move(out.buffer());
}

std::vector<uint8_t> sample() {
  BatchBuilder builder;
  const auto first = properties_of({.delivery_mode = 2});
  const auto second = properties_of({});
  builder.add({{7}, "", "orders", first, base::as_view("one")});
  builder.add({{8}, "logs", "", second, {}});
  const base::View view = builder.finish();
  return {view.begin(), view.end()};
}

TEST_CASE("amqp batch: records come back as they went in") {
  const auto bytes = sample();
  REQUIRE(BatchView::validate(bytes));
  const BatchView batch(bytes);
  REQUIRE(batch.count() == 2);
  const RecordView first = batch.record(0), second = batch.record(1);
  CHECK(first.arrived.ms == 7);
  CHECK(first.routing_key == "orders");
  CHECK(base::as_text(first.body) == "one");
  CHECK(PropertiesView::parse(first.properties)->is_persistent());
  CHECK(second.exchange == "logs");
  CHECK(second.body.empty());
}

TEST_CASE("amqp batch: a cleared builder starts a new batch") {
  BatchBuilder builder;
  const auto none = properties_of({});
  builder.add({{1}, "", "q", none, base::as_view("x")});
  builder.finish();
  builder.clear();
  CHECK(builder.empty());
  builder.add({{2}, "", "q", none, base::as_view("y")});
  const base::View view = builder.finish();
  REQUIRE(BatchView::validate(view));
  CHECK(BatchView(view).count() == 1);
  CHECK(base::as_text(BatchView(view).record(0).body) == "y");
}

TEST_CASE("amqp batch: no truncation validates") {
  const auto bytes = sample();
  for (size_t size = 0; size < bytes.size(); ++size) {
    CHECK_FALSE(BatchView::validate(base::View(bytes).first(size)));
  }
}

TEST_CASE("amqp batch: lengths that lie do not validate") {
  const auto good = sample();
  for (size_t at = kBatchHeadBytes + 8; at < kBatchHeadBytes + kRecordHeadBytes; ++at) {
    auto bad = good;
    bad[at] = 0xFF;
    CHECK_FALSE(BatchView::validate(bad));
  }
}

}  // namespace
}  // namespace polylog::amqp
