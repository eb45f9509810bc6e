#include "storage/cold_reads.h"

namespace polylog::storage {
namespace {

// Runs `work` on the worker and hands what it returns to `done` on the core.
template <typename Answer>
void run_on(io::Worker& worker, std::move_only_function<Answer()> work, std::function<void(Answer)> done) {
  auto answer = std::make_shared<std::optional<Answer>>();
  worker.submit([answer, work = std::move(work)]() mutable { answer->emplace(work()); },
                [answer, done = std::move(done)] { done(std::move(**answer)); });
}

}  // namespace

ColdReads::ColdReads(io::Loop& loop)
    : segments_(std::make_shared<SegmentReader>()), worker_(loop.make_worker("cold-read")) {}

void ColdReads::load(std::shared_ptr<BatchLoad> load, Done done) {
  auto result = std::make_shared<base::Result<>>();
  worker_->submit([load, result] { *result = load->run(); },
                  [load, result, done = std::move(done)] {
                    load->unpin();
                    if (*result) {
                      done(std::move(load->batches()));
                    } else {
                      done(std::unexpected(result->error()));
                    }
                  });
}

void ColdReads::read(SegmentReader::Source source, SegmentReader::Wish wish, Done done) {
  run_on<base::Result<std::vector<StoredBatch>>>(
      *worker_, [reader = segments_, source = std::move(source), wish] { return reader->read(source, wish); },
      std::move(done));
}

void ColdReads::find_by_time(SegmentReader::Source source, base::WallTime ts, Found done) {
  run_on<base::Result<std::optional<BatchRef>>>(
      *worker_, [reader = segments_, source = std::move(source), ts] { return reader->find_by_time(source, ts); },
      std::move(done));
}

}  // namespace polylog::storage
