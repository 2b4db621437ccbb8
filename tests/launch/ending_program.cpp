// Ends as it is told to: ending_program HOW WHAT. For the tests of exit codes, alone and under mpirun.
//   HOW   at-once      before ranks meet, every rank
//         late-N       before ranks meet, rank N alone
//         alike        once they have met, every rank in all_or_none
//         only-N       the same, rank N alone
//         alone-N      rank N by itself, while the others wait for it
//   WHAT  an exit code of hearth::Kind, `standard` (a std::runtime_error), `memory` (a std::bad_alloc), `broken` (a promise)
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>

#include "launch/ending.h"
#include "trainer/together_of.h"

namespace {

[[noreturn]] void fail_as(const std::string& what) {
  if (what == "standard") throw std::runtime_error("what went wrong");
  if (what == "memory") throw std::bad_alloc();
  if (what == "broken") hearth::require(false, "what went wrong");
  hearth::fail(static_cast<hearth::Kind>(std::atoi(what.c_str())), "what went wrong");
}

int work(hearth::Environment& environment, const std::string& how, const std::string& what) {
  const std::string rank = how.substr(how.find('-') + 1);
  const std::string when = how.substr(0, how.find('-'));
  if (how == "at-once" || (when == "late" && rank == std::to_string(environment.rank))) fail_as(what);
  hearth::World world(environment, 1);
  const auto together = hearth::together_of(world.all());
  const bool mine = how == "alike" || rank == std::to_string(together.part);
  if (mine && when == "alone") fail_as(what);
  hearth::all_or_none(together, [&] {
    if (mine) fail_as(what);
  });
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  hearth::Environment environment = hearth::read_environment(argv);
  environment.meets = environment.under_launcher;
  const std::string how = argc == 3 ? argv[1] : "";
  const std::string what = argc == 3 ? argv[2] : "";
  return hearth::ended(environment, [&] { return work(environment, how, what); });
}
