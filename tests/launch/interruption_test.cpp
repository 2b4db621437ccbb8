// Signals reach the thread that waits for them, and no computation.
#include "launch/interruption.h"

#include <gtest/gtest.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <vector>

#include "kernels/backend.h"

namespace hearth {
namespace {

bool comes(const std::atomic<bool>& flag) {
  for (int tries = 0; tries < 1000 && !flag; ++tries) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return flag;
}

TEST(Interruption, ASignalIsNoticed) {
  for (int i = 0; i < 3; ++i) {  // and leaves nothing behind
    const Interruption interruption(Interruption::Of::usr1);
    EXPECT_FALSE(interruption.came());
    ::kill(::getpid(), SIGUSR1);
    EXPECT_TRUE(comes(interruption.came()));
    ::kill(::getpid(), SIGUSR1);
  }
}

/// How a process ends that is sent `signals`, one after the other was noticed.
int end_of(Interruption::Of of, const std::vector<int>& signals) {
  const pid_t child = ::fork();
  if (child == 0) {
    for (const int signal : signals) ::signal(signal, SIG_DFL);  // a shell's background jobs inherit some as ignored
    const Interruption interruption(of);
    for (const int signal : signals) {
      ::kill(::getpid(), signal);
      comes(interruption.came());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    ::_exit(interruption.came() ? 10 : 0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

TEST(Interruption, TheTerminalsSignalsCountOnceAndThenEnd) {
  using Of = Interruption::Of;
  for (const int signal : {SIGINT, SIGTERM}) {
    EXPECT_EQ(end_of(Of::usr1, {signal}), -signal);  // under a launcher they are its business
    EXPECT_EQ(end_of(Of::usr1_and_terminal, {signal}), 10);
    EXPECT_EQ(end_of(Of::usr1_and_terminal, {signal, signal}), -signal);
    EXPECT_EQ(end_of(Of::usr1_and_terminal, {SIGUSR1, signal}), -signal);
  }
  EXPECT_EQ(end_of(Of::usr1_and_terminal, {SIGUSR1, SIGUSR1, SIGUSR1}), 10);
}

struct Product {
  std::int64_t rows, length, columns;
};

/// A product of small whole numbers; `turns` says which sides are turned.
std::vector<float> result_of(Backend& backend, const Product& of, std::size_t turns) {
  std::vector<float> a(static_cast<std::size_t>(of.rows * of.length));
  std::vector<float> b(static_cast<std::size_t>(of.length * of.columns));
  std::vector<float> y(static_cast<std::size_t>(of.rows * of.columns));
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i % 13) - 6;
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<float>(i % 11) - 5;
  const bool turn_a = turns % 2 == 1;
  const bool turn_b = turns / 2 == 1;
  const Tensor left(a.data(), Dtype::f32, turn_a ? Dims{of.length, of.rows} : Dims{of.rows, of.length});
  const Tensor right(b.data(), Dtype::f32, turn_b ? Dims{of.columns, of.length} : Dims{of.length, of.columns});
  backend.ops().matmul(left, turn_a ? Turn::yes : Turn::no, right, turn_b ? Turn::yes : Turn::no, 1, Write::over,
                       Tensor(y.data(), Dtype::f32, {of.rows, of.columns}));
  return y;
}

// A handler that runs on a computing thread's stack ruins oneDNN's products and the heap: see launch/interruption.h.
TEST(Interruption, ManySignalsChangeNoBitOfAProduct) {
  const Interruption interruption(Interruption::Of::usr1);
  const auto backend = make_cpu_backend({.threads = 2});
  const Product products[] = {{64, 64, 512}, {64, 512, 64}, {64, 64, 172}, {256, 256, 256}};
  std::vector<std::vector<float>> first;
  std::atomic<bool> over = false;
  std::thread storm([&over] {
    while (!over) {
      ::kill(::getpid(), SIGUSR1);
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  });
  int wrong = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(3);
  for (std::size_t round = 0; std::chrono::steady_clock::now() < end; ++round) {
    const std::vector<float> y = result_of(*backend, products[round % 4], round / 4 % 4);
    if (round < 16) first.push_back(y);
    wrong += y == first[round % 16] ? 0 : 1;
  }
  over = true;
  storm.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(interruption.came());
}

}  // namespace
}  // namespace hearth
