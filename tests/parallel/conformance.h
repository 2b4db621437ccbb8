// What every transport must do, written once: each case is called on every rank of a communicator of any size.
#pragma once

#include <functional>
#include <span>

#include "parallel/communicator.h"

namespace hearth::test {

struct Case {
  const char* name;
  void (*body)(Communicator&);
};

/// All cases. They use GoogleTest's EXPECT macros on every rank.
std::span<const Case> conformance();

}  // namespace hearth::test
