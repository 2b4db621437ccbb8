// Where the shared known answers and data are, for the tests that need them.
#pragma once

#include "base/file.h"

namespace hearth::test {

/// The folder that holds golden/ and data/. Fails the test program when it is not there.
Path shared();
/// The folder tests/data of the source tree.
Path data();
/// A fresh, empty folder that is removed when the object dies.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const Path& path() const { return path_; }

 private:
  Path path_;
};

}  // namespace hearth::test
