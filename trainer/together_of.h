// Data ranks as data knows of them.
#pragma once

#include "data/together.h"
#include "parallel/communicator.h"

namespace hearth {

/// The ranks of `world` as parts of one job. `world` outlives what is returned.
Together together_of(Communicator& world);

}  // namespace hearth
