#include "io/input_budget.h"

#include <doctest/doctest.h>

#include "io/core.h"

namespace polylog::io {
namespace {

struct Someone final : Resident {
  void finish_turn() override {}
  void shut_down(std::string_view) override {}
};
constexpr base::MonoTime kStart{1'000'000'000};

}  // namespace

TEST_CASE("claims_past_the_budget_wait_until_others_are_released") {
  InputBudget budget(100);
  Someone a, b;
  CHECK(budget.claim(a, 60, kStart));
  CHECK_FALSE(budget.claim(b, 60, kStart));
  CHECK(budget.anyone_waits());
  budget.release(a);
  REQUIRE(budget.take_waiting().size() == 1);
  CHECK(budget.claim(b, 60, kStart));
  CHECK_FALSE(budget.anyone_waits());
}

TEST_CASE("a_claim_longer_than_the_budget_passes_when_it_is_the_only_one") {
  InputBudget budget(100);
  Someone a, b;
  CHECK(budget.claim(a, 1000, kStart));
  CHECK_FALSE(budget.claim(b, 1, kStart));
  CHECK(budget.claim(a, 2000, kStart));
}

TEST_CASE("only_claims_without_progress_are_stalled") {
  InputBudget budget(100);
  Someone a, b, held_back;
  for (Someone* who : {&a, &b, &held_back}) CHECK(budget.claim(*who, 10, kStart));
  const base::MonoTime later = kStart + InputBudget::kStalledMax;
  budget.touch(b, later);
  budget.touch(held_back, later + std::chrono::hours(1));
  CHECK(budget.stalled(later) == std::vector<Resident*>{&a});
}

}  // namespace polylog::io
