#include "launch/interruption.h"

#include <pthread.h>

#include <cstdio>
#include <ctime>

namespace hearth {

Interruption::Interruption(Of of) {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGUSR1);
  if (of == Of::usr1_and_terminal) {
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
  }
  pthread_sigmask(SIG_BLOCK, &signals_, &before_);
  std::signal(SIGUSR1, SIG_DFL);
  waiting_ = std::thread([this] { wait(); });
}

Interruption::~Interruption() {
  over_ = true;
  pthread_kill(waiting_.native_handle(), SIGUSR1);
  waiting_.join();
  std::signal(SIGUSR1, SIG_IGN);  // one that comes late is no reason to die
  constexpr timespec at_once{};
  while (sigtimedwait(&signals_, nullptr, &at_once) > 0) continue;
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void Interruption::wait() {
  for (int signal = 0; sigwait(&signals_, &signal) == 0 && !over_;) {
    if (came_ && signal != SIGUSR1) {
      std::signal(signal, SIG_DFL);
      pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
      std::raise(signal);
    }
    came_ = true;
    if (signal == SIGINT)
      std::fputs("\nwhat is trained is saved, and the run ends after this step; Ctrl-C once more ends at once\n",
                 stderr);
  }
}

}  // namespace hearth
