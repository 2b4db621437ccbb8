// Where the program's own files lie.
#pragma once

#include "base/file.h"

namespace hearth {

/// recipes/ of the source tree when run from the build folder, share/hearth/recipes beside an installed program. Throws
/// Kind::machine when neither is there.
Path recipes_folder();

}  // namespace hearth
