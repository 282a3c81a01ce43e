#include "common/async/pool.h"

namespace drover::async {
namespace {

struct Work : Job {
  std::function<void()> run;
  Resume resume;
};

void run_batch(Batch& batch) {
  for (auto& generic : batch) {
    auto& work = static_cast<Work&>(*generic);
    work.run();
    work.resume();
  }
}

}  // namespace

Pool::Pool(std::string name, unsigned threads, std::size_t max_queue)
    : workers_({std::move(name), threads, max_queue, 1}, [](unsigned, Batch batch) { run_batch(batch); }) {}

void Pool::submit(std::function<void()> run, std::function<void(Error)> fail, Resume resume) {
  auto work = std::make_unique<Work>();
  work->run = std::move(run);
  work->resume = std::move(resume);
  std::unique_ptr<Job> generic = std::move(work);
  if (Status status = workers_.submit(generic); !status) {
    fail(std::move(status).error());
    static_cast<Work&>(*generic).resume();
  }
}

}  // namespace drover::async
