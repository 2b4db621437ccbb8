// What this program is.
#pragma once

#include <string>

#include "launch/bootstrap.h"

namespace hearth {

/// "hearth 0.1.0 (commit)", for manifests.
std::string program_name();
/// What has to be the same on every rank: commit, compiler, oneDNN, MPI, HDF5.
std::string versions();
/// The answer to --version: commit, compiler, oneDNN, MPI, HDF5, instruction set in use.
std::string version_text(const Environment& environment);

}  // namespace hearth
