#include <doctest/doctest.h>

#include "io/net.h"

namespace polylog::io {
namespace {

std::string drain(OutQueue& queue, size_t step, size_t pieces_max = 64) {
  std::string all;
  std::vector<base::View> pieces;
  while (!queue.empty()) {
    const size_t bytes = queue.gather(pieces, pieces_max);
    std::string now;
    for (const base::View piece : pieces) now += base::as_text(piece);
    REQUIRE(now.size() == bytes);
    const size_t sent = std::min(step, bytes);
    all += now.substr(0, sent);
    queue.sent(sent);
  }
  return all;
}

TEST_CASE("bytes_leave_in_the_order_they_were_queued_however_they_are_sent") {
  for (const size_t step : {1ul, 7ul, 511ul, 100'000ul}) {
    OutQueue queue;
    std::string expected;
    for (int i = 0; i < 200; ++i) {
      const std::string text(static_cast<size_t>(i * 13 % 1500), static_cast<char>('a' + i % 26));
      expected += text;
      if (i % 2 == 0)
        queue.write(base::as_view(text));
      else
        queue.append(base::Slice::copy_of(base::as_view(text)));
    }
    CHECK(queue.queued_bytes() == expected.size());
    CHECK(drain(queue, step) == expected);
  }
}

TEST_CASE("small_writes_share_a_piece_and_large_slices_go_by_reference") {
  OutQueue queue;
  for (int i = 0; i < 100; ++i) queue.write(base::as_view("ack"));
  const base::Slice slice = base::Slice::copy_of(base::as_view(std::string(4096, 'x')));
  queue.append(slice);
  std::vector<base::View> pieces;
  CHECK(queue.gather(pieces, 64) == 300 + 4096);
  REQUIRE(pieces.size() == 2);
  CHECK(pieces[1].data() == slice.data());
}

TEST_CASE("gather_shows_no_more_pieces_than_asked_for") {
  OutQueue queue;
  for (int i = 0; i < 10; ++i) queue.append(base::Slice::copy_of(base::as_view(std::string(1000, 'x'))));
  std::vector<base::View> pieces;
  CHECK(queue.gather(pieces, 3) == 3000);
  CHECK(drain(queue, 1500, 3).size() == 10'000);
}

TEST_CASE("gather_shows_no_more_bytes_than_asked_for") {
  OutQueue queue;
  for (int i = 0; i < 10; ++i) queue.append(base::Slice::copy_of(base::as_view(std::string(1000, 'x'))));
  std::vector<base::View> pieces;
  CHECK(queue.gather(pieces, 64, 2000) == 2000);
  CHECK(pieces.size() == 2);
  CHECK(queue.gather(pieces, 64, 2001) == 2001);
  CHECK(pieces.back().size() == 1);
}

TEST_CASE("endpoints_parse_with_names_and_both_address_families") {
  CHECK(parse_endpoint("127.0.0.1:9092")->port == 9092);
  CHECK(parse_endpoint("[::1]:0")->host == "::1");
  CHECK(parse_endpoint("localhost:65535")->host == "localhost");
  for (const char* bad : {"", "localhost", ":1", "a:", "a:65536", "a:-1", "a:1x", "::1:80", "[::1:80", "[]:80"}) {
    CAPTURE(bad);
    CHECK(!parse_endpoint(bad));
  }
}

}  // namespace
}  // namespace polylog::io
