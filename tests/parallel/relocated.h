// A communicator that passes everything on with the tensors moved into a memory of the test's choice.
#pragma once

#include <memory>

#include "base/memory.h"
#include "parallel/communicator.h"

namespace hearth::test {

/// Arguments are copied into `memory` first, and results back when a ticket was waited for; `mine` inside `all` stays
/// inside. `inner` and `memory` must outlive what is returned, which frees nothing of theirs.
std::unique_ptr<Communicator> in_memory(Communicator& inner, Memory& memory);

}  // namespace hearth::test
