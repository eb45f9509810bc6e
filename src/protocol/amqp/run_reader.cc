#include "protocol/amqp/run_reader.h"

#include "protocol/amqp/mapping.h"

namespace polylog::amqp {
namespace {

using base::OffsetCount;

// Shows one foreign record as if it had been published over AMQP.
template <typename Visit>
auto show_converted(const broker::HubMessage& message, std::string_view name, base::Offset offset, const Visit& visit) {
  base::Writer properties;
  encode_properties(properties, message);
  const std::string_view body = message.body ? std::string_view(*message.body) : std::string_view();
  return visit(offset, RecordView{{}, {}, name, properties.view(), base::as_view(body)}, base::Slice());
}

}  // namespace

bool for_each_record(const broker::EncodingRegistry& encodings, const broker::DeliveryRun& run, std::string_view name,
                     const RecordVisit& visit) {
  if (run.encoding == kEncodingTag) {
    const BatchView batch(run.batch.view());
    for (uint32_t i = 0; i < run.count; ++i) {
      visit(run.first_offset + OffsetCount(i), batch.record(run.first_index + i), run.batch);
    }
    return true;
  }
  const broker::Encoding* encoding = encodings.find(run.encoding);
  if (encoding == nullptr) return false;
  const base::Offset base = run.first_offset - OffsetCount(run.first_index);
  const base::Offset end = run.first_offset + OffsetCount(run.count);
  const auto show = [&](base::Offset offset, broker::HubMessage message) {
    if (offset >= run.first_offset && offset < end) show_converted(message, name, offset, visit);
  };
  return encoding->to_hub(run.batch.view(), base, show).has_value();
}

base::Result<> for_each_record(const broker::EncodingRegistry& encodings, const broker::ReadBatch& batch,
                               base::Offset from, std::string_view name, const StreamVisit& visit) {
  if (batch.encoding == kEncodingTag) {
    const BatchView view(batch.bytes.view());
    const auto first = static_cast<uint32_t>(std::max<int64_t>(0, (from - batch.base_offset).value));
    for (uint32_t i = first; i < view.count(); ++i) {
      if (!visit(batch.base_offset + OffsetCount(i), view.record(i), batch.bytes)) break;
    }
    return {};
  }
  const broker::Encoding* encoding = encodings.find(batch.encoding);
  if (encoding == nullptr) return base::fail(base::ErrorCode::kCorrupt, "an unknown encoding");
  bool wanted = true;
  const auto show = [&](base::Offset offset, broker::HubMessage message) {
    if (wanted && offset >= from) wanted = show_converted(message, name, offset, visit);
  };
  return encoding->to_hub(batch.bytes.view(), batch.base_offset, show);
}

uint64_t window_bytes_of(const broker::DeliveryRun& run) {
  if (run.encoding != kEncodingTag) return run.batch.size();
  const uint32_t count = BatchView(run.batch.view()).count();
  return run.batch.size() * run.count / std::max<uint32_t>(1, count);
}

}  // namespace polylog::amqp
