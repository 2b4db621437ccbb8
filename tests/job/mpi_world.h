// The world of a test program that mpirun started.
#pragma once

#include "parallel/mpi.h"

namespace hearth::test {
extern Communicator* mpi_world;
}
