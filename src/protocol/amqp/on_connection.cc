// Methods of class connection: login, negotiation, close.
#include <fmt/format.h>

#include "base/log.h"
#include "protocol/amqp/connection.h"
#include "protocol/amqp/field_table.h"
#include "protocol/amqp/login.h"

namespace polylog::amqp {
namespace {

constexpr std::string_view kServerCapabilities[] = {
    "publisher_confirms", "exchange_exchange_bindings", "basic.nack",       "consumer_cancel_notify",
    "connection.blocked", "consumer_priorities",        "per_consumer_qos", "authentication_failure_close",
};

bool has_capability(base::View client_properties, std::string_view name) {
  const auto capabilities = find(client_properties, "capabilities");
  if (!capabilities || capabilities->type != FieldType::kTable) return false;
  const auto value = find(capabilities->bytes, name);
  return value && value->type == FieldType::kBool && value->integer != 0;
}

// 0 counts as "no limit", which is more than any limit of ours.
bool within(uint32_t asked, uint32_t ours) { return ours == 0 || (asked != 0 && asked <= ours); }

Outcome bad_tuning(std::string_view what, uint32_t asked, uint32_t least, uint32_t most) {
  return refuse(ReplyCode::kNotAllowed,
                fmt::format("negotiated {} = {} is not within {} and {}", what, asked, least, most));
}

}  // namespace

void Session::send_start() {
  base::Writer properties;
  {
    TableWriter table(properties);
    {
      TableWriter capabilities = table.begin_table("capabilities");
      for (const std::string_view name : kServerCapabilities) capabilities.put_bool(name, true);
    }
    table.put_text("cluster_name", config_.cluster_name);
    table.put_text("copyright", "Copyright (c) the polylog authors");
    table.put_text("information", "Licensed under the Apache License 2.0");
    table.put_text("platform", "C++");
    table.put_text("polylog_version", config_.polylog_version);
    table.put_text("product", config_.product);
    table.put_text("version", config_.version);
  }
  send(0, ConnectionStart{.version_major = 0,
                          .version_minor = 9,
                          .server_properties = properties.view(),
                          .mechanisms = kMechanisms,
                          .locales = "en_US"});
  phase_ = Phase::kStart;
}

Outcome Session::on_start_ok(const ConnectionStartOk& m) {
  if (!is_valid_table(m.client_properties)) {
    return refuse(ReplyCode::kSyntaxError, "cannot decode the client properties");
  }
  client_takes_cancel_ = has_capability(m.client_properties, "consumer_cancel_notify");
  client_takes_blocked_ = has_capability(m.client_properties, "connection.blocked");
  client_takes_close_ = has_capability(m.client_properties, "authentication_failure_close");
  if (const auto name = find(m.client_properties, "connection_name"); name && name->is_text()) {
    name_ = name->text().substr(0, base::limits::kNameBytesMax);
  }
  const auto credentials = parse_login(m.mechanism, m.response);
  if (!credentials || !may_log_in(*credentials, connection_->peer_is_loopback())) {
    refuse_login(m.mechanism);
    return {};
  }
  user_ = credentials->user;
  send(0, ConnectionTune{
              .channel_max = config_.channel_max, .frame_max = config_.frame_max, .heartbeat = config_.heartbeat_s});
  phase_ = Phase::kTune;
  return {};
}

// Clients that cannot take a close during login get silence, then the end: they took a quick end for a network error.
void Session::refuse_login(std::string_view mechanism) {
  base::log_warn(
      "amqp", "login refused",
      {{"connection", to_text(id_)}, {"peer", connection_->peer()}, {"name", name_}, {"mechanism", mechanism}});
  if (client_takes_close_) {
    return fail({.code = ReplyCode::kAccessRefused,
                 .reason = fmt::format("Login was refused using authentication mechanism {}. For details see the "
                                       "broker logfile.",
                                       mechanism),
                 .hard = true},
                MethodId{});
  }
  close_soon();
}

Outcome Session::on_tune_ok(const ConnectionTuneOk& m) {
  if (m.channel_max == 0 ? config_.channel_max != 0 : !within(m.channel_max, config_.channel_max)) {
    return bad_tuning("channel_max", m.channel_max, 1, config_.channel_max);
  }
  if (!within(m.frame_max, config_.frame_max) || (m.frame_max != 0 && m.frame_max < kFrameBytesMaxMin)) {
    return bad_tuning("frame_max", m.frame_max, kFrameBytesMaxMin, config_.frame_max);
  }
  channel_max_ = m.channel_max;
  frame_max_ = m.frame_max;
  heartbeat_s_ = m.heartbeat;
  start_heartbeat();
  phase_ = Phase::kOpenWait;
  return {};
}

Outcome Session::on_connection_open(const ConnectionOpen& m) {
  if (m.virtual_host != "/") {
    return refuse(ReplyCode::kNotAllowed, fmt::format("vhost {} not found", m.virtual_host));
  }
  broker_.loop().cancel(deadline_timer_);
  phase_ = Phase::kOpen;
  send(0, ConnectionOpenOk{});
  return {};
}

Outcome Session::on_close(const ConnectionClose&) {
  if (phase_ == Phase::kClosing) {  // both at once
    send(0, ConnectionCloseOk{});
    return {};
  }
  phase_ = Phase::kDraining;
  each_channel([](Channel& channel) { channel.wind_down(); });
  finish_draining();
  return {};
}

Outcome Session::on_close_ok(const ConnectionCloseOk&) {
  if (phase_ != Phase::kClosing) return {};
  phase_ = Phase::kDone;
  connection_->close_after_flush();
  return {};
}

Outcome Session::on_update_secret(const ConnectionUpdateSecret&) {
  send(0, ConnectionUpdateSecretOk{});
  return {};
}

}  // namespace polylog::amqp
