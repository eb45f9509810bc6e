// A peer's byte stream, from the greeting on: frames, content headers and every method's decoder. What decodes is
// encoded again and must decode to the same bytes.
#include <cstdlib>

#include "protocol/amqp/gen/methods.h"
#include "protocol/amqp/properties.h"
#include "protocol/amqp/wire.h"

namespace polylog::amqp {
namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

template <typename T>
void round_trip(base::Reader in) {
  T method;
  if (!decode(in, method)) return;
  base::Writer first;
  encode(first, method);
  base::Reader again(first.view());
  require(read_method_id(again) == T::kId);
  T copy;
  require(decode(again, copy));
  base::Writer second;
  encode(second, copy);
  require(first.buffer() == second.buffer());
}

template <typename... Methods>
void round_trip_any(MethodId id, const base::Reader& in) {
  ((id == Methods::kId ? round_trip<Methods>(in) : void()), ...);
}

void on_method(base::View payload) {
  base::Reader in(payload);
  const MethodId id = read_method_id(in);
  if (!in.ok()) return;
  round_trip_any<ConnectionStart, ConnectionStartOk, ConnectionSecure, ConnectionSecureOk, ConnectionTune,
                 ConnectionTuneOk, ConnectionOpen, ConnectionOpenOk, ConnectionClose, ConnectionCloseOk,
                 ConnectionBlocked, ConnectionUnblocked, ConnectionUpdateSecret, ConnectionUpdateSecretOk, ChannelOpen,
                 ChannelOpenOk, ChannelFlow, ChannelFlowOk, ChannelClose, ChannelCloseOk, AccessRequest,
                 AccessRequestOk>(id, in);
  round_trip_any<ExchangeDeclare, ExchangeDeclareOk, ExchangeDelete, ExchangeDeleteOk, ExchangeBind, ExchangeBindOk,
                 ExchangeUnbind, ExchangeUnbindOk, QueueDeclare, QueueDeclareOk, QueueBind, QueueBindOk, QueuePurge,
                 QueuePurgeOk, QueueDelete, QueueDeleteOk, QueueUnbind, QueueUnbindOk>(id, in);
  round_trip_any<BasicQos, BasicQosOk, BasicConsume, BasicConsumeOk, BasicCancel, BasicCancelOk, BasicPublish,
                 BasicReturn, BasicDeliver, BasicGet, BasicGetOk, BasicGetEmpty, BasicAck, BasicReject,
                 BasicRecoverAsync, BasicRecover, BasicRecoverOk, BasicNack, ConfirmSelect, ConfirmSelectOk, TxSelect,
                 TxSelectOk, TxCommit, TxCommitOk, TxRollback, TxRollbackOk>(id, in);
}

void on_header(base::View payload) {
  const auto header = parse_content_header(payload);
  if (!header) return;
  const auto view = PropertiesView::parse(header->property_bytes);
  if (!view) return;
  base::Writer out;
  encode(out, view->all());
  require(PropertiesView::parse(out.view()).has_value());
}

void on_stream(base::View bytes, uint32_t frame_max) {
  while (true) {
    const FrameRead read = read_frame(bytes, frame_max);
    if (read.status == FrameRead::Status::kNeedMore) require(read.wanted_bytes > bytes.size());
    if (read.status != FrameRead::Status::kFrame) return;
    if (read.frame.type == FrameType::kMethod) on_method(read.frame.payload);
    if (read.frame.type == FrameType::kHeader) on_header(read.frame.payload);
    bytes = bytes.subspan(read.frame.total_bytes());
  }
}

}  // namespace
}  // namespace polylog::amqp

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace polylog;
  const base::View bytes(data, size);
  amqp::recognize_greeting(bytes);
  amqp::on_stream(bytes, amqp::kFrameBytesMaxMin);
  amqp::on_stream(bytes, 0);
  amqp::on_method(bytes);
  amqp::on_header(bytes);
  return 0;
}
