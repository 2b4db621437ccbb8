// Leaks of programs that use MPI.
#pragma once

namespace hearth::test {

/// Under the address sanitizer: looks for leaks now, and not when the process ends, and ends it where there are any. MPI
/// unloads its parts in the end, and what they keep could then not be told by their names (tests/sanitize/leak.supp). To be
/// called while the session lives. Else nothing.
void look_for_leaks();

}  // namespace hearth::test
