// The names of all ops, read from the header itself: a new op without a test fails the suites that list ops.
#pragma once

#include <set>
#include <string>

namespace hearth::test {

std::set<std::string> ops_of_the_table();

}  // namespace hearth::test
