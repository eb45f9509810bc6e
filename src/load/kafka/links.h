// KafkaProducer and KafkaConsumer: the connections of a run to a Kafka broker. The producer sends what is due of all its
// lanes in one request, keeps at most kRequestsMax of them under way, and waits for acks=all. The consumer reads its
// partitions from their beginning, one fetch at a time, without a group.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "load/kafka/wire.h"
#include "load/ledger.h"
#include "load/link.h"

namespace polylog::load::kafka {

// What is the same on both sides: the greeting, and replies that come in the order of their requests.
class KafkaLink : public Link {
 public:
  KafkaLink(Address address, std::string topic, Ledger& ledger)
      : Link(std::move(address)), topic_(std::move(topic)), ledger_(ledger) {}

  void greet(std::string& output) override;
  base::Result<size_t> take(std::string_view input, std::string& output, uint64_t now_ns) override;

 protected:
  virtual void on_ready(std::string& output) = 0;
  virtual base::Result<> on_reply(std::string_view reply, std::string& output, uint64_t now_ns) = 0;

  const std::string topic_;
  Ledger& ledger_;
};

class KafkaProducer final : public KafkaLink {
 public:
  KafkaProducer(Address address, std::string topic, Ledger& ledger, std::vector<uint32_t> lanes)
      : KafkaLink(std::move(address), std::move(topic), ledger), lanes_(std::move(lanes)) {}

  void send_due(std::string& output, uint64_t now_ns) override;
  void on_down() override;

 private:
  static constexpr size_t kRequestsMax = 5;                  // as clients have it
  static constexpr size_t kBatchBytesTarget = 256 << 10;     // below what brokers take by default
  static constexpr size_t kRequestBytesTarget = 1024 << 10;  // of all batches

  struct SentBatch {
    uint32_t lane = 0;
    std::vector<Message> messages;
  };
  using SentRequest = std::vector<SentBatch>;

  void on_ready(std::string&) override {}
  base::Result<> on_reply(std::string_view reply, std::string& output, uint64_t now_ns) override;
  SentBatch fill_batch(uint32_t lane, std::vector<uint8_t>& out, uint64_t now_ns);
  void on_answered(const SentBatch& batch, int16_t error, uint64_t now_ns);

  const std::vector<uint32_t> lanes_;  // no two into one partition
  size_t next_lane_ = 0;               // which goes first: a full request leaves the others out
  uint64_t pause_until_ns_ = 0;        // after a refusal
  std::deque<SentRequest> sent_;       // not answered
};

class KafkaConsumer final : public KafkaLink {
 public:
  KafkaConsumer(Address address, std::string topic, Ledger& ledger, const std::vector<int32_t>& partitions);

  void send_due(std::string& output, uint64_t now_ns) override;
  void on_down() override { fetching_ = ready_ = false; }

 private:
  static constexpr int32_t kFetchBytesMax = 4 << 20;

  void on_ready(std::string& output) override { fetch(output); }
  base::Result<> on_reply(std::string_view reply, std::string& output, uint64_t now_ns) override;
  void fetch(std::string& output);

  std::vector<FetchFrom> from_;
  bool fetching_ = false;
  uint64_t pause_until_ns_ = 0;  // after an error
};

}  // namespace polylog::load::kafka
