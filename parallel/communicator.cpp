#include "parallel/communicator.h"

#include <exception>
#include <utility>

namespace hearth {

Ticket& Ticket::operator=(Ticket&& other) noexcept {
  Ticket old(std::exchange(work_, std::move(other.work_)));
  return *this;
}

Ticket::~Ticket() {
  if (work_ == nullptr) return;
  if (std::uncaught_exceptions() > 0) {
    work_->abandon();
    return;
  }
  try {
    work_->wait();
  } catch (const std::exception&) {
    work_->abandon();  // whoever waits next on this communicator meets the same failure, and may throw
  }
}

void Ticket::wait() {
  if (work_ == nullptr) return;
  work_->wait();
  work_.reset();
}

}  // namespace hearth
