// The cases of the conformance suite in which much is under way at once, or much is large.
#pragma once

#include "parallel/communicator.h"

namespace hearth::test {

/// Sizes at which a transport may change its ways.
void sizes_around_borders(Communicator& ranks);
/// Operations of all kinds on several communicators, waited for by every rank in an order of its own.
void many_in_flight_on_several_communicators(Communicator& ranks);
/// More operations than a transport keeps room for, before the first wait.
void many_small_ones_before_the_first_wait(Communicator& ranks);
/// Communicators come and go while others live; one rank is through with one, and makes others, before the rest has read
/// what it said there.
void communicators_come_and_go(Communicator& ranks);

}  // namespace hearth::test
