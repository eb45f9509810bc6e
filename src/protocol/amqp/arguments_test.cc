#include "protocol/amqp/arguments.h"

#include <doctest/doctest.h>

namespace polylog::amqp {
namespace {

const std::string kQueue = describe_queue("q", "/");
constexpr QueueFlags kDurable{.durable = true};

// A table of one entry, or of two.
struct Table {
  std::vector<uint8_t> bytes;
  Table with(std::string_view key, std::string_view value) && {
    return add([&](TableWriter& writer) { writer.put_text(key, value); });
  }
  Table with(std::string_view key, const char* value) && { return std::move(*this).with(key, std::string_view(value)); }
  Table with(std::string_view key, int64_t value) && {
    return add([&](TableWriter& writer) { writer.put_i64(key, value); });
  }
  Table with(std::string_view key, int value) && {
    return add([&](TableWriter& writer) { writer.put_i32(key, value); });
  }
  Table with(std::string_view key, bool value) && {
    return add([&](TableWriter& writer) { writer.put_bool(key, value); });
  }
  operator base::View() const { return bytes; }

 private:
  template <typename Put>
  Table add(Put put) {
    base::Writer out(bytes);
    TableWriter writer(out);
    put(writer);
    return std::move(*this);
  }
};

std::string error_of(QueueType type, base::View arguments, QueueFlags flags = kDurable) {
  return check_queue_arguments(kQueue, type, flags, arguments).value_or("");
}

template <typename T>
Table one(std::string_view key, T value) {
  return Table().with(key, value);
}

TEST_CASE("integers_are_taken_up_to_their_limits_and_not_beyond") {
  using enum QueueType;
  CHECK(error_of(kClassic, one("x-message-ttl", 0)) == "");
  CHECK(error_of(kClassic, one("x-message-ttl", kExpiryMsMax)) == "");
  CHECK(error_of(kClassic, one("x-message-ttl", kExpiryMsMax + 1)) ==
        "invalid arg 'x-message-ttl' for queue 'q' in vhost '/': {value_too_big,315360000001}");
  CHECK(error_of(kClassic, one("x-message-ttl", -1)) ==
        "invalid arg 'x-message-ttl' for queue 'q' in vhost '/': {value_negative,-1}");
  CHECK(error_of(kClassic, one("x-expires", 0)) ==
        "invalid arg 'x-expires' for queue 'q' in vhost '/': {value_zero,0}");
  CHECK(error_of(kClassic, one("x-expires", 1)) == "");
  CHECK(error_of(kClassic, one("x-max-priority", 255)) == "");
  CHECK(error_of(kClassic, one("x-max-priority", 256)) ==
        "invalid arg 'x-max-priority' for queue 'q' in vhost '/': {max_value_exceeded,256}");
  CHECK(error_of(kQuorum, one("x-delivery-limit", -1)) == "");
  CHECK(error_of(kStream, one("x-stream-filter-size-bytes", 16)) == "");
  CHECK(error_of(kStream, one("x-stream-filter-size-bytes", 15)) != "");
  CHECK(error_of(kStream, one("x-stream-filter-size-bytes", 256)) != "");
}

TEST_CASE("a_value_of_the_wrong_type_is_refused") {
  using enum QueueType;
  CHECK(error_of(kClassic, one("x-max-length", "10")) ==
        "invalid arg 'x-max-length' for queue 'q' in vhost '/': \"expected integer, got longstr\"");
  CHECK(error_of(kClassic, one("x-dead-letter-exchange", 1)) ==
        "invalid arg 'x-dead-letter-exchange' for queue 'q' in vhost '/': {unacceptable_type,signedint}");
  CHECK(error_of(kClassic, one("x-single-active-consumer", 1)) ==
        "invalid arg 'x-single-active-consumer' for queue 'q' in vhost '/': {unacceptable_type,signedint}");
  CHECK(error_of(kClassic, one("x-single-active-consumer", true)) == "");
}

TEST_CASE("choices_are_exact_words") {
  using enum QueueType;
  for (const char* overflow : {"drop-head", "reject-publish", "reject-publish-dlx"}) {
    CHECK(error_of(kClassic, one("x-overflow", overflow)) == "");
  }
  for (const char* overflow : {"", "drop", "drop-head|reject-publish", "reject-publish-dlx2"}) {
    CHECK(error_of(kClassic, one("x-overflow", overflow)) ==
          "invalid arg 'x-overflow' for queue 'q' in vhost '/': invalid_overflow");
  }
}

TEST_CASE("another_queue_types_argument_is_refused_and_an_unknown_one_ignored") {
  using enum QueueType;
  CHECK(error_of(kQuorum, one("x-max-age", "1h")) ==
        "invalid arg 'x-max-age' for queue 'q' in vhost '/' of queue type rabbit_quorum_queue");
  CHECK(error_of(kClassic, one("x-delivery-limit", 3)) != "");
  CHECK(error_of(kStream, one("x-message-ttl", 3)) != "");
  CHECK(error_of(kQuorum, one("x-max-priority", 5)) == "");
  CHECK(error_of(kStream, one("x-made-up", 1)) == "");
  CHECK(error_of(kStream, one("x-queue-mode", "lazy")) == "");
}

TEST_CASE("a_dead_letter_routing_key_needs_an_exchange") {
  using enum QueueType;
  CHECK(error_of(kClassic, one("x-dead-letter-routing-key", "k")) ==
        "invalid arg 'x-dead-letter-routing-key' for queue 'q' in vhost '/': routing_key_but_no_dlx_defined");
  CHECK(error_of(kClassic, one("x-dead-letter-routing-key", "k").with("x-dead-letter-exchange", "")) == "");
}

TEST_CASE("replicated_types_want_their_flags") {
  using enum QueueType;
  CHECK(error_of(kQuorum, {}, {.durable = false}) == "invalid property 'non-durable' for queue 'q' in vhost '/'");
  CHECK(error_of(kQuorum, {}, {.durable = true, .exclusive = true}) ==
        "invalid property 'exclusive-owner' for queue 'q' in vhost '/'");
  CHECK(error_of(kStream, {}, {.durable = true, .auto_delete = true}) ==
        "invalid property 'auto-delete' for queue 'q' in vhost '/'");
  CHECK(error_of(kStream, {}, {.durable = true, .server_named = true}) ==
        "Cannot declare a server-named queue for type rabbit_stream_queue");
  CHECK(error_of(kClassic, {}, {.exclusive = true, .auto_delete = true, .server_named = true}) == "");
}

TEST_CASE("the_queue_type_comes_from_its_argument_or_the_fallback") {
  CHECK(choose_queue_type(kQueue, {}, QueueType::kQuorum).type == QueueType::kQuorum);
  CHECK(choose_queue_type(kQueue, one("x-queue-type", "stream"), QueueType::kClassic).type == QueueType::kStream);
  CHECK(choose_queue_type(kQueue, one("x-queue-type", "mirror"), QueueType::kClassic).error ==
        "invalid arg 'x-queue-type' for queue 'q' in vhost '/': \"unsupported queue type 'mirror'\"");
  CHECK(choose_queue_type(kQueue, one("x-queue-type", 1), QueueType::kClassic).error ==
        "invalid arg 'x-queue-type' for queue 'q' in vhost '/': {unacceptable_type,signedint}");
}

TEST_CASE("ages_have_a_count_and_a_unit") {
  CHECK(parse_max_age_ms("7D") == 7LL * 24 * 3600 * 1000);
  CHECK(parse_max_age_ms("1Y") == 365LL * 24 * 3600 * 1000);
  CHECK(parse_max_age_ms("30s") == 30'000);
  CHECK(parse_max_age_ms("2m") == 120'000);
  for (const char* bad : {"", "D", "7", "0D", "-1D", "7d", "1 D", "1DD", "9223372036854775807Y"}) {
    CHECK_FALSE(parse_max_age_ms(bad).has_value());
  }
}

TEST_CASE("flags_are_compared_as_stored") {
  CHECK(equivalent_flags(kQueue, {.durable = false}, {.durable = true}) ==
        "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'");
  CHECK(equivalent_flags(kQueue, {.auto_delete = true}, {}) ==
        "inequivalent arg 'auto_delete' for queue 'q' in vhost '/': received 'true' but current is 'false'");
  CHECK_FALSE(equivalent_flags(kQueue, {.durable = true, .exclusive = true}, {.exclusive = true}).has_value());
}

TEST_CASE("known_arguments_are_compared_by_value_and_others_not_at_all") {
  const auto compare = [](base::View received, base::View current) {
    return equivalent_arguments(kQueue, QueueType::kClassic, received, current).value_or("");
  };
  CHECK(compare(one("x-max-length", 10), one("x-max-length", int64_t{10})) == "");
  CHECK(compare(one("x-max-length", 20), one("x-max-length", 10)) ==
        "inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received '20' but current is '10'");
  CHECK(compare(one("x-max-length", "10"), one("x-max-length", 10)) != "");
  CHECK(compare({}, one("x-max-length", 10)) ==
        "inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received none but current is the value '10' of "
        "type 'signedint'");
  CHECK(compare(one("x-message-ttl", 10), {}) ==
        "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received the value '10' of type 'signedint' but "
        "current is none");
  CHECK(compare(one("x-made-up", 1), one("x-queue-mode", "lazy")) == "");
}

TEST_CASE("a_missing_queue_type_is_classic") {
  CHECK_FALSE(equivalent_arguments(kQueue, QueueType::kClassic, {}, one("x-queue-type", "classic")).has_value());
  CHECK(equivalent_arguments(kQueue, QueueType::kQuorum, {}, one("x-queue-type", "quorum")) ==
        "inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received none but current is the value 'quorum' "
        "of type 'longstr'");
  CHECK(
      equivalent_arguments(kQueue, QueueType::kQuorum, one("x-queue-type", "classic"), one("x-queue-type", "quorum")) ==
      "inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received 'classic' but current is 'quorum'");
}

TEST_CASE("one_argument_of_an_exchange_is_compared_the_same_way") {
  CHECK(equivalent_argument("exchange 'e' in vhost '/'", "alternate-exchange", one("alternate-exchange", "a"), {}) ==
        "inequivalent arg 'alternate-exchange' for exchange 'e' in vhost '/': received the value 'a' of type "
        "'longstr' but current is none");
}

TEST_CASE("argument_names_are_unique") {
  for (const QueueArgument& argument : kQueueArguments) CHECK(find_queue_argument(argument.name) == &argument);
}

TEST_CASE("a_streams_arguments_say_what_it_keeps") {
  CHECK(retention_in({}).keeps_all());
  const auto both = retention_in(Table().with("x-max-age", "2m").with("x-max-length-bytes", 5'000'000'000));
  CHECK(both.age_ms_max == 120'000);
  CHECK(both.bytes_max == 5'000'000'000);
  CHECK(retention_in(Table().with("x-max-length-bytes", 7)).bytes_max == 7);
}

}  // namespace
}  // namespace polylog::amqp
