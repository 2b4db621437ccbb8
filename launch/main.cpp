// hearth VERB ...: finds the verb, runs it, and is the one place where errors are caught.
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "base/error.h"
#include "launch/bootstrap.h"
#include "launch/verbs.h"

namespace {

/// Prints what went wrong. Under a launcher the other ranks end too; a complaint about the command or recipe, which every
/// rank has alike before ranks meet, is the first one's to print.
int report(hearth::Environment& environment, const hearth::Error& error) {
  const bool ranks = environment.session != nullptr && environment.session->world().size() > 1;
  const std::string who = ranks ? fmt::format("hearth, rank {}", environment.session->world().rank()) : "hearth";
  const bool everybodys = environment.session == nullptr && environment.rank > 0 && error.kind() == hearth::Kind::usage;
  if (!everybodys) std::fputs(fmt::format("{}: {}\n", who, error.text()).c_str(), stderr);
  std::fflush(stdout);
  std::fflush(stderr);
  const int code = hearth::exit_code(error.kind());
  if (ranks) environment.session->abort(code);
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  hearth::Environment environment = hearth::read_environment(argv);
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on file sizes is an error of the write that meets it, not the end
  try {
    return hearth::run_verb(std::vector<std::string>(argv + 1, argv + argc), environment);
  } catch (const hearth::Error& error) {
    return report(environment, error);
  } catch (const std::bad_alloc&) {
    return report(environment, {hearth::Kind::machine, "out of memory"});
  } catch (const std::exception& error) {
    return report(environment,
                  {hearth::Kind::internal, fmt::format("internal error: {} (please report this)", error.what())});
  }
}
