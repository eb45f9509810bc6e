// Session: one AMQP 0-9-1 connection. Negotiates, splits input into frames, hands them to channels, brings the engine's
// Actions to the channel that asked, keeps the heartbeat and holds publishers back when memory or disk is short.
//
//   header ─► start ─► tune ─► open wait ─► open ─┬─ client's close: channels drain ─► close-ok ─► done
//                                                 └─ our close (a hard fault) ─► closing, until close-ok ─► done
//
// Sans-I/O: bytes in through io::Handler, out through the connection's OutQueue, time from io::Loop. On one core.
// Not here: what methods do (on_*.cc), channel state (channel.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "broker/broker.h"
#include "io/net.h"
#include "protocol/amqp/channel.h"
#include "protocol/amqp/errors.h"
#include "protocol/amqp/gen/methods.h"
#include "protocol/amqp/request_metrics.h"
#include "protocol/amqp/wire.h"

namespace polylog::amqp {

struct Config {
  std::string product = "RabbitMQ";  // clients switch features on product and version
  std::string version = "4.2.0";
  std::string polylog_version = "0.1.0";
  std::string cluster_name = "polylog";
  size_t message_bytes_max = 16 * base::limits::kMiB;
  uint16_t heartbeat_s = 60;
  uint32_t frame_max = kFrameBytesMaxDefault;
  uint16_t channel_max = 2047;
};

// `config` outlives the session.
std::unique_ptr<io::Handler> make_session(broker::Broker& broker, const Config& config);

class Session final : public io::Handler, public broker::Session {
 public:
  Session(broker::Broker& broker, const Config& config);
  ~Session() override;

  void on_open(io::Connection& connection) override;
  Taken on_bytes(base::View bytes) override;
  void on_drained() override;
  void on_closed(std::string_view why) override;
  void on_action(broker::Action action) override;
  void on_pressure() override;

  // --- for channels
  broker::Broker& broker() { return broker_; }
  const Config& config() const { return config_; }
  broker::SessionId id() const { return id_; }
  uint32_t frame_max() const { return frame_max_; }
  std::string_view user() const { return user_; }
  bool client_takes_cancel() const { return client_takes_cancel_; }
  const std::string& peer() const { return connection_->peer(); }
  RequestMetrics& metrics() { return metrics_; }

  broker::Token make_token(uint16_t channel, TokenKind kind);
  void submit(base::CellId cell, broker::Token token, broker::CellRequest request);
  void change_catalog(broker::Token token, broker::CatalogRequest request);

  // Call wrote() after writing to out().
  io::OutQueue& out() { return connection_->out(); }
  void wrote();
  template <typename Method>
  void send(uint16_t channel, const Method& method) {
    write_method(out(), scratch(), channel, method);
    wrote();
  }
  static base::Writer& scratch();  // empty between calls

  void touch(uint16_t channel);         // has collected something to flush at the end of this input
  void report_later(uint16_t channel);  // has confirms to send at the turn's end
  void note_publish();
  void note_append_bytes(int64_t change) { append_bytes_ += static_cast<size_t>(change); }
  void note_waiting_bytes(int64_t change) { waiting_bytes_ += static_cast<size_t>(change); }
  void retry_later();  // publishes were refused for want of space
  bool output_is_long() const;
  void tell_output_room();  // call Channel::on_output_room() once output_is_long() is false
  void adopt(Orphan orphan);
  // Something a client waited for took `took`: logged if that is long.
  void note_took(std::string_view kind, std::string_view object, base::Duration took,
                 const broker::AppendDone* append = nullptr);
  void fail(const Fault& fault, MethodId method);

  // --- handlers of connection methods (on_connection.cc)
  Outcome on_start_ok(const ConnectionStartOk& m);
  Outcome on_tune_ok(const ConnectionTuneOk& m);
  Outcome on_connection_open(const ConnectionOpen& m);
  Outcome on_close(const ConnectionClose& m);
  Outcome on_close_ok(const ConnectionCloseOk& m);
  Outcome on_update_secret(const ConnectionUpdateSecret& m);

 private:
  enum class Phase : uint8_t { kHeader, kStart, kTune, kOpenWait, kOpen, kDraining, kClosing, kDone };

  size_t on_greeting(base::View bytes);
  void send_start();
  void refuse_login(std::string_view mechanism);
  void start_heartbeat();
  void on_heartbeat_tick();
  void on_frame(const FrameView& frame);
  void on_connection_method(const FrameView& frame);
  void on_channel_frame(const FrameView& frame);
  void open_channel(const FrameView& frame, base::Reader& in);
  bool phase_allows(MethodId id) const;
  void finish_input();
  void finish_draining();
  void send_reports();
  void on_orphan_action(broker::Action& action);
  void own_exclusive(const broker::ActionBody& answer);
  bool wants_pause() const;
  void update_reading();
  void update_blocked();
  void close_soon();
  Channel* channel(uint16_t number);
  template <typename Do>
  void each_channel(const Do& act) {
    for (auto& channel : channels_) {
      if (channel) act(*channel);
    }
  }

  broker::Broker& broker_;
  const Config& config_;
  RequestMetrics& metrics_;
  io::Connection* connection_ = nullptr;
  broker::SessionId id_;
  uint64_t last_sequence_ = 0;
  std::vector<std::unique_ptr<Channel>> channels_;  // by number
  std::vector<uint16_t> touched_, reporting_;
  std::vector<Orphan> orphans_;
  std::vector<base::Uuid> exclusive_queues_;  // deleted with the connection
  std::shared_ptr<bool> alive_;               // for tasks that may outlive this
  std::string user_;
  std::string name_;  // as the client calls the connection
  size_t append_bytes_ = 0;
  size_t waiting_bytes_ = 0;
  io::TimerId deadline_timer_, heartbeat_timer_, retry_timer_, room_timer_;
  uint32_t frame_max_;
  uint16_t channel_max_;
  uint16_t heartbeat_s_ = 0;
  Phase phase_ = Phase::kHeader;
  uint8_t silent_ticks_ = 0;
  bool received_ = false, sent_ = false;
  bool paused_ = false;
  bool reports_armed_ = false;
  bool room_wanted_ = false;
  bool published_ = false;
  bool blocked_sent_ = false;
  bool client_takes_cancel_ = false, client_takes_blocked_ = false, client_takes_close_ = false;
};

}  // namespace polylog::amqp
