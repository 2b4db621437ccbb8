// hearth VERB ...: finds the verb and runs it.
#include <csignal>
#include <string>
#include <vector>

#include "launch/ending.h"
#include "launch/verbs.h"

int main(int argc, char** argv) {
  hearth::Environment environment = hearth::read_environment(argv);
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on file sizes is an error of the write that meets it, not the end
  return hearth::ended(environment,
                       [&] { return hearth::run_verb(std::vector<std::string>(argv + 1, argv + argc), environment); });
}
