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
    : segments_(std::make_shared<SegmentReader>()), worker_(loop.make_worker("cold-read", io::Priority::kYielding)) {}

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

void ColdReads::find_by_time(std::vector<SegmentReader::Source> sources, Offset from, base::WallTime ts, Found done) {
  using Answer = base::Result<std::optional<BatchRef>>;
  run_on<Answer>(
      *worker_,
      [reader = segments_, sources = std::move(sources), from, ts]() -> Answer {
        for (const SegmentReader::Source& source : sources) {
          TRY_ASSIGN(const auto found, reader->find_by_time(source, from, ts));
          if (found) return found;
        }
        return std::nullopt;
      },
      std::move(done));
}

}  // namespace polylog::storage
