#include "protocol/amqp/confirm_window.h"

#include <doctest/doctest.h>

#include <string>

namespace polylog::amqp {
namespace {

// "ack 3*" is multiple, "ack 3" and "nack 3" are not.
std::string drain(ConfirmWindow& window) {
  std::string text;
  const auto add = [&](const std::string& word) { text += (text.empty() ? "" : ", ") + word; };
  window.drain([&](uint64_t number, bool multiple) { add("ack " + std::to_string(number) + (multiple ? "*" : "")); },
               [&](uint64_t number) { add("nack " + std::to_string(number)); });
  return text;
}

ConfirmWindow window_of(uint64_t count) {
  ConfirmWindow window;
  for (uint64_t number = 1; number <= count; ++number) REQUIRE(window.add() == number);
  return window;
}

TEST_CASE("confirms: one publish is one single ack") {
  ConfirmWindow window = window_of(1);
  CHECK_FALSE(window.has_news());
  window.settle(1, 1, true);
  CHECK(window.has_news());
  CHECK(drain(window) == "ack 1");
  CHECK(drain(window) == "");
}

TEST_CASE("confirms: a run from the oldest is one multiple ack") {
  ConfirmWindow window = window_of(100);
  window.settle(1, 40, true);
  window.settle(41, 90, true);
  CHECK(drain(window) == "ack 90*");
  window.settle(91, 100, true);
  CHECK(drain(window) == "ack 100*");
}

TEST_CASE("confirms: beyond the smallest outstanding they are singles, and never repeated") {
  ConfirmWindow window = window_of(5);
  window.settle(3, 4, true);
  CHECK(drain(window) == "ack 3, ack 4");
  window.settle(1, 2, true);
  CHECK(drain(window) == "ack 2*");
  window.settle(5, 5, true);
  CHECK(drain(window) == "ack 5");
}

TEST_CASE("confirms: a refused publish is nacked before a multiple could cover it") {
  ConfirmWindow window = window_of(4);
  window.settle(1, 1, true);
  window.settle(2, 2, false);
  window.settle(3, 4, true);
  CHECK(drain(window) == "nack 2, ack 4*");
}

TEST_CASE("confirms: an outcome counts once") {
  ConfirmWindow window = window_of(2);
  window.settle(1, 1, true);
  window.settle(1, 1, false);
  CHECK(drain(window) == "ack 1");
  window.settle(1, 1, false);
  window.settle(7, 9, true);
  CHECK(drain(window) == "");
}

TEST_CASE("confirms: thousands outstanding keep their order through growth") {
  ConfirmWindow window = window_of(10'000);
  window.settle(2, 10'000, true);
  drain(window);
  window.settle(1, 1, true);
  CHECK(drain(window) == "ack 1");
  CHECK(window.add() == 10'001);
}

}  // namespace
}  // namespace polylog::amqp
