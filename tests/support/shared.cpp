#include "support/shared.h"

#include <cstdlib>

#include "base/error.h"

namespace hearth::test {

Path shared() {
  const Path path = HEARTH_SHARED;
  if (!std::filesystem::is_directory(path)) fail(Kind::data, "the shared known answers are not at {}", path.string());
  return path;
}

Path data() {
  return HEARTH_TEST_DATA;
}

Folder::Folder() {
  std::string name = (std::filesystem::temp_directory_path() / "hearth_test_XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) fail(Kind::storage, "cannot create a folder like {}", name);
  path_ = name;
}

Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace hearth::test
