#include "checkpoint/by_name.h"

#include <bit>
#include <cstdlib>
#include <fstream>

namespace hearth::test {

testing::AssertionResult python_reads_by_name(const Path& step_folder, const std::map<std::string, Dims>& dims,
                                              const Scene& values) {
  const Path list = step_folder.parent_path() / "expected.txt";
  std::ofstream expected(list);
  for (const auto& [name, full] : dims) {
    for (const Role role : roles) {
      expected << group_of(role) << '/' << name << ' ';
      for (int i = 0; i < full.count; ++i) expected << (i == 0 ? "" : ",") << full[i];
      for (std::int64_t i = 0; i < full.elements(); ++i) {
        expected << ' ' << std::bit_cast<std::uint32_t>(values.value(role, name, i));
      }
      expected << '\n';
    }
  }
  expected.close();
  const std::string program = std::string(HEARTH_CHECKPOINT_TESTS) + "/read_by_name.py";
  const std::string command =
      "cd / && /usr/bin/python3 " + program + " " + (step_folder / "checkpoint.h5").string() + " " + list.string();
  if (std::system(command.c_str()) == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << command << " failed; it needs python3-h5py and python3-numpy";
}

}  // namespace hearth::test
