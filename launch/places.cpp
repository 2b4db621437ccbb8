#include "launch/places.h"

#include <array>
#include <filesystem>

#include "base/error.h"

namespace hearth {

Path recipes_folder() {
  std::error_code ignored;
  const Path program = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  const std::array<Path, 3> places = {program / "../share/hearth/recipes", program / "../recipes",
                                      program / "../../recipes"};
  for (const Path& place : places) {
    if (std::filesystem::is_directory(place)) return std::filesystem::canonical(place);
  }
  fail(Kind::machine,
       "the recipes that come with hearth are not where they belong ({}): install it with `cmake --install`, or run it "
       "from the build folder in its source tree",
       places[0].lexically_normal().string());
}

}  // namespace hearth
