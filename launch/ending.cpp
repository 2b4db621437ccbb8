#include "launch/ending.h"

#include <cstdio>
#include <exception>
#include <filesystem>
#include <new>
#include <string>

#include "base/file.h"

namespace hearth {

namespace {

void print(const std::string& who, const Error& error) {
  std::fflush(stdout);
  std::fputs(fmt::format("{}: {}\n", who, error.text()).c_str(), stderr);
  std::fflush(stderr);
}

/// Tells the other ranks, where they meet, that this one cannot come; the error that all of them throw then.
Error told(Environment& environment, const Error& error) {
  try {
    meet(environment, [&] { throw error; });
  } catch (const Error& everybodys) {
    return environment.session == nullptr ? error : everybodys;  // without MPI there is nobody to tell
  }
  return error;
}

int report(Environment& environment, const Error& own) {
  const bool before_meeting = environment.session == nullptr && environment.meets;
  const Error error = before_meeting ? told(environment, own) : own;
  const int code = exit_code(error.kind());
  if (environment.session == nullptr || environment.session->world().size() == 1) {
    print("hearth", error);
    return code;
  }
  const int rank = environment.session->world().rank();
  const std::string who = error.speaker() == 0 ? "hearth" : fmt::format("hearth, rank {}", rank);
  if (error.speaker().value_or(rank) == rank) print(who, error);
  if (!error.speaker()) environment.session->abort(code);
  return code;
}

}  // namespace

int ended(Environment& environment, const std::function<int()>& work) {
  try {
    return work();
  } catch (const Error& error) {
    return report(environment, error);
  } catch (const std::filesystem::filesystem_error& error) {
    return report(environment, as_error(error));
  } catch (const std::bad_alloc&) {
    return report(environment, {Kind::machine, "out of memory"});
  } catch (const std::exception& error) {
    return report(environment, {Kind::internal, fmt::format("internal error: {} (please report this)", error.what())});
  }
}

}  // namespace hearth
