// How the program ends: every exit code comes from here.
#pragma once

#include <functional>

#include "base/error.h"
#include "launch/bootstrap.h"

namespace hearth {

/// What `work` returns, or the exit code of what it throws, after the text was printed: "hearth: ...", and where it is that of
/// one rank among several, "hearth, rank 3: ...". What is no hearth::Error counts as a defect (Kind::internal), but for
/// std::bad_alloc (Kind::machine) and what the standard library says about files.
///
/// Under a launcher an error that every rank throws alike is printed once, and all end in good order. An error before ranks
/// met is told to the others where they meet, so that it is one of all ranks too. A rank that fails alone takes the job down.
int ended(Environment& environment, const std::function<int()>& work);

}  // namespace hearth
