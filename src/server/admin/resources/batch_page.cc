#include "server/admin/resources/batch_page.h"

#include "server/admin/resources/message_json.h"

namespace polylog::server {

base::Result<> BatchPage::add(const broker::ReadBatch& batch, base::Offset from, base::Offset end) {
  const broker::Encoding* encoding = encodings_.find(batch.encoding);
  if (encoding == nullptr) return base::fail(base::ErrorCode::kCorrupt, "a batch in a format that nobody here reads");
  bool cut = false;
  const auto visited = encoding->to_hub(batch.bytes.view(), batch.base_offset,
                                        [&](base::Offset offset, const broker::HubMessage& message) {
                                          if (cut || offset < from || offset >= end) return;
                                          if (full()) {
                                            cut = true;
                                            return;
                                          }
                                          put_message(out_, offset, message, batch.append_ts);
                                          ++count_;
                                          next_ = offset.next();
                                        });
  // The batch may end with offsets that have no message.
  if (visited && !cut) next_ = std::min(end, batch.base_offset + base::OffsetCount(batch.count));
  return visited;
}

}  // namespace polylog::server
