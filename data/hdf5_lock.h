// HDF5 as Debian builds it may not be entered by two threads at once. Its state is one for the whole process, so its
// lock is too: everything in hearth that calls HDF5 holds a Lock meanwhile.
#pragma once

#include <mutex>

namespace hearth::hdf5 {

inline std::recursive_mutex library_mutex;

/// Held around calls into HDF5, closing handles included. May be nested on one thread. Not held while bytes are
/// computed, read or written by other means: other ranks of this process wait for it.
class Lock {
 public:
  Lock() : held_(library_mutex) {}

 private:
  std::lock_guard<std::recursive_mutex> held_;
};

}  // namespace hearth::hdf5
