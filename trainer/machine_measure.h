// This host as a machine description, measured in a few seconds.
#pragma once

#include "kernels/backend.h"
#include "parallel/communicator.h"
#include "trainer/machine.h"

namespace hearth {

/// Every rank of the world measures at the same time, as in training, and the slowest counts; with one rank alone,
/// links are those between two threads of it. Collective; the same on every rank. `memory`: bytes that one rank may
/// use.
Machine measure_machine(Communicator& world, Backend& backend, double memory);

/// Gathers and sums of 8 MiB a rank between two or more ranks, of tensors in `memory`. Collective.
Machine::Link measure_link(Communicator& world, Memory& memory);

}  // namespace hearth
