// Makes the system fail, or the process die, at the k-th call of a kind: the test program's own write, fsync, rename,
// ... stand before those of the C library, for hearth, the C++ library and HDF5 alike.
#pragma once

#include <string>
#include <vector>

namespace hearth::test::faults {

enum class What { none, kill, fail };  // kill: before the call

struct Plan {
  What what = What::none;
  std::vector<std::string> calls;  // names of calls that count; empty: all
  int at = 0;                      // the first call that is hit, from 0
  bool later_too = false;          // every call from there on
  int error = 0;                   // errno for What::fail
};

/// Starts counting. Set from one thread, before others start.
void arm(const Plan& plan);
/// Stops, and says how many calls counted.
int disarm();
/// The syncs, renames and removals since arm(), in order: "fsync PATH", "rename FROM TO", "unlink PATH".
std::vector<std::string> seen();

}  // namespace hearth::test::faults
