// Data ranks as data knows of them.
#pragma once

#include "data/together.h"
#include "parallel/communicator.h"

namespace hearth {

/// The ranks of `world` as parts of one job, each for itself as far as files are concerned. `world` outlives what is returned.
Together together_of(Communicator& world);
/// The same; ranks that run on one kernel, with one view of its file systems, share the work on files. Collective.
Together together_on_files_of(Communicator& world);

}  // namespace hearth
