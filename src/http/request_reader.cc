#include "http/request_reader.h"

#include <strings.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>

namespace polylog::http {

namespace beast = boost::beast;

namespace {

std::string text_of(beast::string_view text) { return {text.data(), text.size()}; }

}  // namespace

// Beast checks the grammar and the body's framing; what it finds goes straight into our Request.
class RequestReader::Parser final : public beast::http::basic_parser<true> {
 public:
  Parser() {
    header_limit(kHeaderBytesMax);
    body_limit(kBodyBytesMax);
  }
  Request request;
  bool http_1_1 = false;

 private:
  using Error = beast::error_code;

  void on_request_impl(beast::http::verb, beast::string_view method, beast::string_view target, int version,
                       Error&) override {
    request.method = text_of(method);
    const size_t mark = std::min(target.find('?'), target.size());
    request.path = text_of(target.substr(0, mark));
    if (mark < target.size()) request.query = text_of(target.substr(mark + 1));
    http_1_1 = version == 11;
  }
  void on_field_impl(beast::http::field, beast::string_view name, beast::string_view value, Error&) override {
    request.fields.push_back({text_of(name), text_of(value)});
  }
  size_t on_body_impl(beast::string_view body, Error&) override {
    request.body.append(body.data(), body.size());
    return body.size();
  }
  size_t on_chunk_body_impl(uint64_t, beast::string_view body, Error&) override {
    request.body.append(body.data(), body.size());
    return body.size();
  }
  void on_response_impl(int, beast::string_view, int, Error&) override {}
  void on_header_impl(Error&) override {}
  void on_body_init_impl(const boost::optional<uint64_t>&, Error&) override {}
  void on_chunk_header_impl(uint64_t, beast::string_view, Error&) override {}
  void on_finish_impl(Error&) override {}
};

RequestReader::RequestReader() : parser_(std::make_unique<Parser>()) {}
RequestReader::~RequestReader() = default;

Request& RequestReader::request() { return parser_->request; }
bool RequestReader::keep_alive() const { return parser_->keep_alive(); }
const Refusal& RequestReader::refusal() const { return refusal_; }
bool RequestReader::take_continue_wanted() { return std::exchange(continue_wanted_, false); }

RequestReader::Read RequestReader::fail(int status, std::string text) {
  refusal_ = {status, std::move(text)};
  return {.state = State::kFailed};
}

RequestReader::Read RequestReader::read(base::View bytes) {
  if (!header_whole_) {
    const std::string_view header = base::as_text(bytes.first(std::min(bytes.size(), kHeaderBytesMax)));
    header_whole_ = header.find("\r\n\r\n", scanned_bytes_) != std::string_view::npos;
    if (!header_whole_ && bytes.size() >= kHeaderBytesMax) return fail(431, "the request's header is over 16 KiB");
    scanned_bytes_ = header.size() < 3 ? 0 : header.size() - 3;
    if (!header_whole_) return {};
  }
  size_t at = 0;
  while (at < bytes.size() && !parser_->is_done()) {
    const bool in_header = !parser_->is_header_done();
    beast::error_code error;
    at += parser_->put(boost::asio::buffer(bytes.data() + at, bytes.size() - at), error);
    if (error == beast::http::error::need_more) break;
    if (error == beast::http::error::body_limit) return fail(413, "the request's body is over 1 MiB");
    if (error) return fail(400, "not a valid HTTP/1.1 request: " + error.message());
    if (in_header && parser_->is_header_done()) {
      if (parser_->http_1_1 && request().find("Host") == nullptr) return fail(400, "the request has no Host field");
      const std::string* expect = request().find("Expect");
      continue_wanted_ = expect != nullptr && strcasecmp(expect->c_str(), "100-continue") == 0;
    }
  }
  return {.state = parser_->is_done() ? State::kDone : State::kNeedMore, .consumed_bytes = at};
}

}  // namespace polylog::http
