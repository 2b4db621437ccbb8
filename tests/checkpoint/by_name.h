// Whether Python finds the parameters of a checkpoint through its index.
#pragma once

#include <map>
#include <string>

#include "checkpoint/scene.h"

namespace hearth::test {

/// h5py reads exactly `dims`' parameters from step_folder/checkpoint.h5, each element as `values` has it, in every
/// role. Needs python3-h5py and python3-numpy.
testing::AssertionResult python_reads_by_name(const Path& step_folder, const std::map<std::string, Dims>& dims,
                                              const Scene& values);

}  // namespace hearth::test
