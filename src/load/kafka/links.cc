#include "load/kafka/links.h"

#include <algorithm>

namespace polylog::load::kafka {
namespace {

constexpr uint64_t kRefusedPauseNs = kSecondNs / 20;

int64_t wall_ms() { return static_cast<int64_t>(now_ns(CLOCK_REALTIME) / 1'000'000); }

}  // namespace

void KafkaLink::greet(std::string& output) {
  ready_ = false;
  output += api_versions_request();
}

base::Result<size_t> KafkaLink::take(std::string_view input, std::string& output, uint64_t now_ns) {
  size_t used = 0;
  while (true) {
    TRY_ASSIGN(const std::string_view reply, front_reply(input.substr(used)));
    if (reply.empty()) return used;
    used += kSizeFieldBytes + reply.size();
    if (ready_) {
      TRY(on_reply(reply, output, now_ns));
      continue;
    }
    TRY(check_versions(reply));
    ready_ = true;
    on_ready(output);
  }
}

// ---- producer

void KafkaProducer::send_due(std::string& output, uint64_t now_ns) {
  if (sent_.size() >= kRequestsMax || now_ns < pause_until_ns_) return;
  std::vector<uint8_t> bytes;
  SentRequest request;
  std::vector<std::pair<int32_t, size_t>> ends;  // partition and where its batch ends
  for (size_t i = 0; i < lanes_.size() && bytes.size() < kRequestBytesTarget; ++i) {
    const uint32_t lane = lanes_[next_lane_++ % lanes_.size()];
    SentBatch batch = fill_batch(lane, bytes, now_ns);
    if (batch.messages.empty()) continue;
    ends.emplace_back(static_cast<int32_t>(ledger_.plan().destination_of(lane)), bytes.size());
    request.push_back(std::move(batch));
  }
  if (request.empty()) return;
  std::vector<PartitionBatch> batches;
  size_t begin = 0;
  for (const auto& [partition, end] : ends) {
    batches.push_back({partition, base::View(bytes).subspan(begin, end - begin)});
    begin = end;
  }
  output += produce_request(topic_, batches);
  sent_.push_back(std::move(request));
}

KafkaProducer::SentBatch KafkaProducer::fill_batch(uint32_t lane, std::vector<uint8_t>& out, uint64_t now_ns) {
  SentBatch batch{.lane = lane};
  auto message = ledger_.take(lane, now_ns);
  if (!message) return batch;
  BatchWriter writer(out, wall_ms());
  while (message) {
    put_stamp(writer.add(ledger_.plan().message_bytes), ledger_.stamp(lane, *message));
    batch.messages.push_back(*message);
    if (writer.size() + ledger_.plan().message_bytes > kBatchBytesTarget) break;
    message = ledger_.take(lane, now_ns);
  }
  writer.finish();
  return batch;
}

base::Result<> KafkaProducer::on_reply(std::string_view reply, std::string&, uint64_t now_ns) {
  TRY_ASSIGN(const auto errors, parse_produce(reply));
  if (sent_.empty()) return base::fail(base::ErrorCode::kMalformed, "the server answers what it was not asked");
  const SentRequest request = std::move(sent_.front());
  sent_.pop_front();
  for (const SentBatch& batch : request) {
    const auto partition = static_cast<int32_t>(ledger_.plan().destination_of(batch.lane));
    const auto answer = std::ranges::find(errors, partition, &PartitionError::partition);
    if (answer == errors.end()) {
      for (const SentBatch& each : request) ledger_.give_back(each.lane, each.messages);
      return base::fail(base::ErrorCode::kMalformed, "the server's Produce reply lacks a partition");
    }
    on_answered(batch, answer->error, now_ns);
  }
  return {};
}

void KafkaProducer::on_answered(const SentBatch& batch, int16_t error, uint64_t now_ns) {
  if (error == 0) {
    for (const Message& message : batch.messages) ledger_.acknowledge(batch.lane, message, now_ns);
    return;
  }
  ledger_.on_error("Produce: " + error_text(error));
  ledger_.give_back(batch.lane, batch.messages);
  pause_until_ns_ = now_ns + kRefusedPauseNs;
}

void KafkaProducer::on_down() {
  ready_ = false;
  for (const SentRequest& request : sent_) {
    for (const SentBatch& batch : request) ledger_.give_back(batch.lane, batch.messages);
  }
  sent_.clear();
}

// ---- consumer

KafkaConsumer::KafkaConsumer(Address address, std::string topic, Ledger& ledger, const std::vector<int32_t>& partitions)
    : KafkaLink(std::move(address), std::move(topic), ledger) {
  for (const int32_t partition : partitions) from_.push_back({partition, 0});
}

void KafkaConsumer::send_due(std::string& output, uint64_t now_ns) {
  if (!fetching_ && now_ns >= pause_until_ns_) fetch(output);
}

void KafkaConsumer::fetch(std::string& output) {
  // The first partitions fill an answer first: they take turns.
  std::ranges::rotate(from_, from_.begin() + (from_.size() > 1 ? 1 : 0));
  output += fetch_request(topic_, from_, kFetchBytesMax);
  fetching_ = true;
}

base::Result<> KafkaConsumer::on_reply(std::string_view reply, std::string& output, uint64_t now_ns) {
  TRY_ASSIGN(const auto all, parse_fetch(reply));
  fetching_ = false;
  bool failed = false;
  for (const Fetched& fetched : all) {
    const auto from = std::ranges::find(from_, fetched.partition, &FetchFrom::partition);
    if (from == from_.end()) return base::fail(base::ErrorCode::kMalformed, "the server sends another partition");
    if (fetched.error != 0) {
      ledger_.on_error("Fetch: " + error_text(fetched.error));
      // The log is shorter than it was: what it lost and was read is seen twice then, what came since is not missed.
      if (fetched.error == kOffsetOutOfRange) from->offset = 0;
      failed = true;
      continue;
    }
    TRY_ASSIGN(from->offset, visit_records(fetched.records, from->offset,
                                           [&](int64_t, std::string_view value) { ledger_.receive(value, now_ns); }));
  }
  if (failed) {
    pause_until_ns_ = now_ns + kRefusedPauseNs;
    return {};
  }
  fetch(output);
  return {};
}

}  // namespace polylog::load::kafka
