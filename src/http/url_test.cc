#include "http/url.h"

#include <doctest/doctest.h>

namespace polylog::http {
namespace {

using Segments = std::vector<std::string>;

TEST_CASE("url: every byte survives being encoded") {
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  CHECK(percent_decode(percent_encode(all)) == all);
  CHECK(percent_encode("a/b c%ü") == "a%2Fb%20c%25%C3%BC");
  CHECK(percent_decode("a+b") == "a+b");
  for (const char* bad : {"%", "%4", "%zz", "%4g", "a%", "%-1", "% 1"}) CHECK_FALSE(percent_decode(bad));
}

TEST_CASE("url: a path's segments are split before they are decoded") {
  CHECK(path_segments("/v1/streams/a%2Fb") == Segments{"v1", "streams", "a/b"});
  CHECK(path_segments("/") == Segments{});
  CHECK(path_segments("/v1/") == Segments{"v1"});
  CHECK(path_segments("/v1//x") == Segments{"v1", "", "x"});
  CHECK_FALSE(path_segments("v1"));
  CHECK_FALSE(path_segments("/%"));
}

TEST_CASE("url: a query's parameters") {
  const QueryParameters expected = {{"from", "time:5"}, {"max", ""}, {"x=", "1=2"}};
  CHECK(query_parameters("from=time%3A5&max&&x%3D=1=2") == expected);
  CHECK(query_parameters("")->empty());
  CHECK_FALSE(query_parameters("a=%"));
}

}  // namespace
}  // namespace polylog::http
