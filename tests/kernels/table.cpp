#include "kernels/table.h"

#include <regex>

#include "base/error.h"
#include "base/file.h"

namespace hearth::test {

std::set<std::string> ops_of_the_table() {
  const std::string header = read_text(HEARTH_OPS_HEADER);
  const std::regex pattern(R"(virtual void (\w+)\()");
  std::set<std::string> names;
  for (std::sregex_iterator match(header.begin(), header.end(), pattern), end; match != end; ++match) {
    names.insert((*match)[1]);
  }
  hearth::require(names.size() > 20, "kernels/ops.h lists the ops as virtual functions");
  return names;
}

}  // namespace hearth::test
