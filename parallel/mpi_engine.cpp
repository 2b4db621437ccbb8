#include "parallel/mpi_engine.h"

#include <emmintrin.h>
#include <mpi.h>

#include <array>
#include <string>
#include <thread>

namespace hearth::mpi {

namespace {

// Looks: about a microsecond, and about a tenth of a millisecond, which is more than a peer needs for a piece of a large
// operation, and less than a time slice.
constexpr int few_looks = 16;
constexpr int many_looks = 2000;

// MPI delivers what it has buffered only when it is called.
void give_core_away() {
  int flag = 0;
  check(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_SELF, &flag, MPI_STATUS_IGNORE), "MPI_Iprobe");
  std::this_thread::yield();
}

}  // namespace

void check(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  fail(Kind::machine, "{} failed: {}", call, std::string(text.data(), static_cast<std::size_t>(length)));
}

class Engine::Work final : public Ticket::Work {
 public:
  Work(std::shared_ptr<Engine> engine, std::shared_ptr<Task> task)
      : engine_(std::move(engine)), task_(std::move(task)) {}
  void wait() override { engine_->wait(*task_); }
  void abandon() noexcept override {
    if (task_->done_) return;
    task_->given_up_ = true;
    task_->give_up();
  }

 private:
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<Task> task_;
};

Engine::Engine(bool cores_suffice) : patience_(cores_suffice ? many_looks : few_looks) {}

Ticket Engine::start(std::shared_ptr<Engine> engine, std::shared_ptr<Task> task) {
  engine->tasks_.push_back(task);
  engine->advance_all();
  if (task->done_) return {};
  return Ticket(std::make_unique<Work>(std::move(engine), std::move(task)));
}

// What fails once is not tried again.
Progress Engine::advance(Task& task) {
  try {
    return task.advance();
  } catch (...) {
    task.given_up_ = true;
    task.give_up();
    throw;
  }
}

bool Engine::advance_all() {
  bool moved = false;
  bool ended = false;
  for (const auto& task : tasks_) {
    if (task->given_up_) continue;
    const Progress progress = advance(*task);
    moved = moved || progress != Progress::none;
    task->done_ = progress == Progress::done;
    ended = ended || task->done_;
  }
  if (ended) std::erase_if(tasks_, [](const auto& task) { return task->done_; });
  return moved;
}

void Engine::wait(const Task& task) {
  int looks = 0;
  while (!task.done_) {
    if (advance_all()) {
      looks = 0;
      continue;
    }
    if (task.stuck()) {
      fail(Kind::internal,
           "internal error: an operation was waited for after one before it was given up (please report this)");
    }
    if (++looks < patience_) {
      _mm_pause();
    } else {
      give_core_away();
    }
  }
}

}  // namespace hearth::mpi
