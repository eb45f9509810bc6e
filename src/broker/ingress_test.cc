#include "broker/ingress.h"

#include <doctest/doctest.h>

namespace polylog::broker {
namespace {

TEST_CASE("an_ingress_budget_is_exhausted_past_its_limit_until_half_of_it_is_answered") {
  IngressBudget budget(100);
  budget.submitted(100);
  CHECK(!budget.is_exhausted());
  budget.submitted(1);
  CHECK(budget.is_exhausted());
  CHECK(!budget.answered(50));
  CHECK(budget.is_exhausted());
  CHECK(budget.answered(1));
  CHECK(!budget.is_exhausted());
  CHECK(!budget.answered(50));
  CHECK(budget.used_bytes() == 0);
}

TEST_CASE("one_request_larger_than_the_ingress_budget_is_taken") {
  IngressBudget budget(100);
  budget.submitted(1000);
  CHECK(budget.is_exhausted());
  CHECK(budget.answered(1000));
}

}  // namespace
}  // namespace polylog::broker
