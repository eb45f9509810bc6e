#include "load/kafka/wire.h"

#include <fmt/format.h>

#include <map>

#include "base/crc32c.h"

namespace polylog::load::kafka {
namespace {

using base::as_view;
using base::ErrorCode;
using base::Reader;
using base::Writer;

struct Api {
  int16_t key;
  int16_t version;
  std::string_view name;
};
constexpr Api kProduce{0, 7, "Produce"};
constexpr Api kFetch{1, 4, "Fetch"};
constexpr Api kMetadata{3, 1, "Metadata"};
constexpr Api kApiVersions{18, 0, "ApiVersions"};
constexpr Api kCreateTopics{19, 2, "CreateTopics"};
constexpr Api kDeleteTopics{20, 1, "DeleteTopics"};

constexpr int32_t kTimeoutMs = 30'000;
constexpr int32_t kFetchWaitMs = 500;
constexpr size_t kReplyBytesMax = 256u << 20;
constexpr size_t kCorrelationBytes = 4;

// Of a batch: what stands before what its length counts, and what before what its checksum covers.
constexpr size_t kLengthEnd = 8 + 4;
constexpr size_t kCrcAt = kLengthEnd + 4 + 1;
constexpr size_t kCoveredAt = kCrcAt + 4;
constexpr size_t kLastDeltaAt = kCoveredAt + 2;
constexpr size_t kCountAt = kLastDeltaAt + 4 + 2 * 8 + 8 + 2 + 4;
constexpr size_t kBatchHeaderBytes = kCountAt + 4;
static_assert(kBatchHeaderBytes == 61);

constexpr uint16_t kCompressionMask = 7;
constexpr uint16_t kControl = 0x20;

void put_string(Writer& out, std::string_view text) {
  out.i16be(static_cast<int16_t>(text.size()));
  out.text(text);
}

std::string string_from(Reader& in) {
  const int16_t size = in.i16be();
  return size <= 0 ? std::string() : std::string(in.text(static_cast<size_t>(size)));
}

// A request that begins with its header; finish() gives its size and bytes.
class Request {
 public:
  explicit Request(const Api& api) {
    body.u32be(0);
    body.i16be(api.key);
    body.i16be(api.version);
    body.i32be(0);
    put_string(body, "polylog-bench");
  }
  std::string finish() {
    body.patch_u32be(0, static_cast<uint32_t>(body.size() - kSizeFieldBytes));
    return std::string(base::as_text(body.view()));
  }

  Writer body;
};

Reader body_of(std::string_view reply) {
  Reader in(as_view(reply));
  in.skip(kCorrelationBytes);
  return in;
}

std::unexpected<base::Error> malformed(std::string_view what) {
  return base::fail(ErrorCode::kMalformed, fmt::format("the server's {} reply makes no sense", what));
}

size_t varint_bytes(uint64_t zigzag) {
  size_t bytes = 1;
  for (; zigzag >= 0x80; zigzag >>= 7) bytes++;
  return bytes;
}

size_t varint_bytes_of(size_t count) { return varint_bytes(uint64_t{count} << 1); }

// | correlation | [throttle i32] | count i32 | name string | error i16 | ...
base::Result<int16_t> first_topic_error(std::string_view reply, const Api& api) {
  Reader in = body_of(reply);
  in.skip(4);
  in.skip(4);
  string_from(in);
  const int16_t error = in.i16be();
  if (!in.ok()) return malformed(api.name);
  return error;
}

}  // namespace

std::string error_text(int16_t code) {
  static const std::map<int16_t, std::string_view> kNames = {
      {1, "OFFSET_OUT_OF_RANGE"},         {3, "UNKNOWN_TOPIC_OR_PARTITION"}, {5, "LEADER_NOT_AVAILABLE"},
      {6, "NOT_LEADER_OR_FOLLOWER"},      {7, "REQUEST_TIMED_OUT"},          {10, "MESSAGE_TOO_LARGE"},
      {17, "INVALID_TOPIC_EXCEPTION"},    {19, "NOT_ENOUGH_REPLICAS"},       {20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND"},
      {29, "TOPIC_AUTHORIZATION_FAILED"}, {36, "TOPIC_ALREADY_EXISTS"},      {37, "INVALID_PARTITIONS"},
      {56, "KAFKA_STORAGE_ERROR"}};
  const auto found = kNames.find(code);
  return found == kNames.end() ? fmt::format("error {}", code) : fmt::format("error {} {}", code, found->second);
}

base::Result<std::string_view> front_reply(std::string_view input) {
  if (input.size() < kSizeFieldBytes) return std::string_view{};
  const size_t size = Reader(as_view(input)).u32be();
  if (size < kCorrelationBytes || size > kReplyBytesMax) {
    return base::fail(ErrorCode::kMalformed, "what the server sends is not the Kafka protocol");
  }
  if (input.size() < kSizeFieldBytes + size) return std::string_view{};
  return input.substr(kSizeFieldBytes, size);
}

std::string api_versions_request() { return Request(kApiVersions).finish(); }

base::Result<> check_versions(std::string_view reply) {
  Reader in = body_of(reply);
  const int16_t error = in.i16be();
  const int32_t count = in.i32be();
  std::map<int16_t, std::pair<int16_t, int16_t>> offered;
  for (int32_t i = 0; i < count && in.ok(); ++i) {
    const int16_t key = in.i16be();
    const int16_t min = in.i16be();
    offered[key] = {min, in.i16be()};
  }
  if (!in.ok() || error != 0) return malformed(kApiVersions.name);
  for (const Api& api : {kProduce, kFetch, kMetadata, kCreateTopics, kDeleteTopics}) {
    const auto found = offered.find(api.key);
    if (found == offered.end() || api.version < found->second.first || api.version > found->second.second) {
      return base::fail(ErrorCode::kUnsupported,
                        fmt::format("the server does not offer {} v{}", api.name, api.version));
    }
  }
  return {};
}

std::string create_topic_request(std::string_view topic, int32_t partitions) {
  Request request(kCreateTopics);
  request.body.i32be(1);
  put_string(request.body, topic);
  request.body.i32be(partitions);
  request.body.i16be(1);  // replica
  request.body.i32be(0);  // assignments
  request.body.i32be(0);  // configs
  request.body.i32be(kTimeoutMs);
  request.body.i8(0);
  return request.finish();
}

std::string delete_topic_request(std::string_view topic) {
  Request request(kDeleteTopics);
  request.body.i32be(1);
  put_string(request.body, topic);
  request.body.i32be(kTimeoutMs);
  return request.finish();
}

base::Result<int16_t> create_topic_error(std::string_view reply) { return first_topic_error(reply, kCreateTopics); }
base::Result<int16_t> delete_topic_error(std::string_view reply) { return first_topic_error(reply, kDeleteTopics); }

std::string metadata_request(std::string_view topic) {
  Request request(kMetadata);
  request.body.i32be(1);
  put_string(request.body, topic);
  return request.finish();
}

// | brokers { id i32 | host | port i32 | rack } | controller i32 | topics { error i16 | name | internal i8 |
// | partitions { error i16 | index i32 | leader i32 | replicas [i32] | in sync [i32] } } |
base::Result<TopicLeaders> parse_metadata(std::string_view reply) {
  Reader in = body_of(reply);
  std::map<int32_t, std::pair<std::string, uint16_t>> brokers;
  const int32_t broker_count = in.i32be();
  for (int32_t i = 0; i < broker_count && in.ok(); ++i) {
    const int32_t id = in.i32be();
    std::string host = string_from(in);
    brokers[id] = {std::move(host), static_cast<uint16_t>(in.i32be())};
    string_from(in);
  }
  in.skip(4);
  const int32_t topic_count = in.i32be();
  TopicLeaders topic{.error = in.i16be()};
  string_from(in);
  in.skip(1);
  const int32_t partition_count = in.i32be();
  for (int32_t i = 0; i < partition_count && in.ok(); ++i) {
    PartitionLeader partition{.error = in.i16be()};
    partition.partition = in.i32be();
    const auto leader = brokers.find(in.i32be());
    if (leader != brokers.end()) std::tie(partition.host, partition.port) = leader->second;
    for (int list = 0; list < 2; ++list) in.skip(in.u32be() * size_t{4});
    topic.partitions.push_back(std::move(partition));
  }
  if (!in.ok() || topic_count != 1) return malformed(kMetadata.name);
  return topic;
}

BatchWriter::BatchWriter(std::vector<uint8_t>& out, int64_t timestamp_ms) : out_(out), begin_(out.size()) {
  Writer header(out_);
  header.i64be(0);   // base offset
  header.i32be(0);   // length, by finish()
  header.i32be(-1);  // leader epoch
  header.i8(2);
  header.u32be(0);  // crc, by finish()
  header.i16be(0);
  header.i32be(0);  // last delta, by finish()
  header.i64be(timestamp_ms);
  header.i64be(timestamp_ms);
  header.i64be(-1);  // no producer id
  header.i16be(-1);
  header.i32be(-1);
  header.i32be(0);  // count, by finish()
}

char* BatchWriter::add(size_t bytes) {
  constexpr size_t kAttributes = 1, kTimeDelta = 1, kNoKey = 1, kNoHeaders = 1;
  const auto delta = static_cast<size_t>(count_++);
  const size_t record_bytes =
      kAttributes + kTimeDelta + varint_bytes_of(delta) + kNoKey + varint_bytes_of(bytes) + bytes + kNoHeaders;
  Writer record(out_);
  record.varint(static_cast<int64_t>(record_bytes));
  record.i8(0);
  record.varint(0);
  record.varint(static_cast<int64_t>(delta));
  record.varint(-1);
  record.varint(static_cast<int64_t>(bytes));
  record.zeros(bytes + kNoHeaders);
  return reinterpret_cast<char*>(out_.data() + out_.size() - bytes - kNoHeaders);
}

void BatchWriter::finish() {
  const auto patch = [&](size_t at, uint32_t value) { Writer(out_).patch_u32be(begin_ + at, value); };
  patch(8, static_cast<uint32_t>(size() - kLengthEnd));
  patch(kLastDeltaAt, static_cast<uint32_t>(count_ - 1));
  patch(kCountAt, static_cast<uint32_t>(count_));
  patch(kCrcAt, base::crc32c(base::View(out_).subspan(begin_ + kCoveredAt)));
}

std::string produce_request(std::string_view topic, std::span<const PartitionBatch> batches) {
  Request request(kProduce);
  request.body.i16be(-1);  // no transaction
  request.body.i16be(-1);  // acks=all
  request.body.i32be(kTimeoutMs);
  request.body.i32be(1);
  put_string(request.body, topic);
  request.body.i32be(static_cast<int32_t>(batches.size()));
  for (const PartitionBatch& each : batches) {
    request.body.i32be(each.partition);
    request.body.i32be(static_cast<int32_t>(each.batch.size()));
    request.body.bytes(each.batch);
  }
  return request.finish();
}

// | topics { name | partitions { index i32 | error i16 | offset i64 | time i64 | log start i64 } } | throttle i32 |
base::Result<std::vector<PartitionError>> parse_produce(std::string_view reply) {
  Reader in = body_of(reply);
  std::vector<PartitionError> errors;
  const int32_t topics = in.i32be();
  string_from(in);
  const int32_t partitions = in.i32be();
  for (int32_t i = 0; i < partitions && in.ok(); ++i) {
    const int32_t partition = in.i32be();
    errors.push_back({partition, in.i16be()});
    in.skip(3 * 8);
  }
  if (!in.ok() || topics != 1) return malformed(kProduce.name);
  return errors;
}

std::string fetch_request(std::string_view topic, std::span<const FetchFrom> from, int32_t bytes_max) {
  Request request(kFetch);
  request.body.i32be(-1);
  request.body.i32be(kFetchWaitMs);
  request.body.i32be(1);  // byte at least
  request.body.i32be(bytes_max);
  request.body.i8(0);
  request.body.i32be(1);
  put_string(request.body, topic);
  request.body.i32be(static_cast<int32_t>(from.size()));
  for (const FetchFrom& each : from) {
    request.body.i32be(each.partition);
    request.body.i64be(each.offset);
    request.body.i32be(bytes_max);
  }
  return request.finish();
}

// | throttle i32 | topics { name | partitions { index i32 | error i16 | high watermark i64 | last stable i64 |
// | aborted { i64 | i64 } | records bytes } } |
base::Result<std::vector<Fetched>> parse_fetch(std::string_view reply) {
  Reader in = body_of(reply);
  std::vector<Fetched> all;
  in.skip(4);
  const int32_t topics = in.i32be();
  if (topics == 0 && in.ok()) return all;
  string_from(in);
  const int32_t partitions = in.i32be();
  for (int32_t i = 0; i < partitions && in.ok(); ++i) {
    Fetched fetched{.partition = in.i32be()};
    fetched.error = in.i16be();
    fetched.high_watermark = in.i64be();
    in.skip(8);
    const int32_t aborted = in.i32be();
    if (aborted > 0) in.skip(static_cast<size_t>(aborted) * 16);
    const int32_t bytes = in.i32be();
    if (bytes > 0) fetched.records = in.bytes(static_cast<size_t>(bytes));
    all.push_back(fetched);
  }
  if (!in.ok() || topics != 1) return malformed(kFetch.name);
  return all;
}

namespace {

base::Result<> visit_batch(Reader in, int64_t base_offset, int32_t count, int64_t from, const VisitRecord& visit) {
  for (int32_t i = 0; i < count; ++i) {
    const int32_t size = in.varint32();
    Reader record(in.bytes(size > 0 ? static_cast<size_t>(size) : 0));
    record.skip(1);
    record.varint64();
    const int64_t offset = base_offset + record.varint32();
    const int32_t key_bytes = record.varint32();
    if (key_bytes > 0) record.skip(static_cast<size_t>(key_bytes));
    const int32_t value_bytes = record.varint32();
    const std::string_view value = record.text(value_bytes > 0 ? static_cast<size_t>(value_bytes) : 0);
    if (!in.ok() || !record.ok()) return malformed("Fetch");
    if (offset >= from) visit(offset, value);
  }
  return {};
}

}  // namespace

base::Result<int64_t> visit_records(base::View batches, int64_t from, const VisitRecord& visit) {
  int64_t next = from;
  while (batches.size() >= kBatchHeaderBytes) {
    Reader in(batches);
    const int64_t base_offset = in.i64be();
    const size_t bytes = kLengthEnd + in.u32be();
    if (bytes < kBatchHeaderBytes) return malformed("Fetch");
    if (batches.size() < bytes) break;
    in.skip(kCoveredAt - kLengthEnd);
    const uint16_t attributes = in.u16be();
    const int32_t last_delta = in.i32be();
    in.skip(kCountAt - kLastDeltaAt - 4);
    const int32_t count = in.i32be();
    if ((attributes & kCompressionMask) != 0) {
      return base::fail(ErrorCode::kUnsupported, "the server compresses what it is sent");
    }
    if ((attributes & kControl) == 0) {
      TRY(visit_batch(Reader(batches.subspan(kBatchHeaderBytes, bytes - kBatchHeaderBytes)), base_offset, count, from,
                      visit));
    }
    next = std::max(next, base_offset + last_delta + 1);
    batches = batches.subspan(bytes);
  }
  return next;
}

}  // namespace polylog::load::kafka
