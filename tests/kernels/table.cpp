#include "kernels/table.h"

#include <string_view>

#include "base/error.h"
#include "base/file.h"

namespace hearth::test {

std::set<std::string> ops_of_the_table() {
  const std::string header = read_text(HEARTH_OPS_HEADER);
  constexpr std::string_view before = "virtual void ";
  std::set<std::string> names;
  for (std::size_t at = header.find(before); at != std::string::npos; at = header.find(before, at)) {
    at += before.size();
    names.insert(header.substr(at, header.find('(', at) - at));
  }
  hearth::require(names.size() > 20, "kernels/ops.h lists the ops as virtual functions");
  return names;
}

}  // namespace hearth::test
