// What holds for the source tree as a whole: which folder may include which, and habits that a compiler does not check.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::test {

/// One file of the tree: its path from the root ("model/block.h") and its text.
struct Source {
  std::string path;
  std::string text;
};

/// One sentence for each thing that is wrong, beginning with "path:line: ".
using Complaints = std::vector<std::string>;

/// Includes that point against the directions of the design, or that are not written from the root of the tree.
Complaints check_includes(const Source& source);

/// The folder of every library that the given CMakeLists.txt files declare: {"hearth_tokenizer", "data"}.
std::map<std::string, std::string> library_folders(const std::vector<Source>& cmake_files);
/// Libraries named in one CMakeLists.txt that its folder may not link.
Complaints check_links(const Source& cmake_file, const std::map<std::string, std::string>& folders);

/// Environment variables read outside launch/bootstrap; statics that can change; paths of one machine; notes of things
/// left undone; tests switched off; headers without #pragma once or with `using namespace`; more than 500 lines.
Complaints check_habits(const Source& source);

/// Whether `name` ("block.cpp") stands as a word of its own in a CMakeLists.txt: a file that is not built is not
/// tested.
bool is_built(std::string_view name, const Source& cmake_file);

}  // namespace hearth::test
