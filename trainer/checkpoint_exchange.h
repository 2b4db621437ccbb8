// Texts between ranks, for what has no fixed size.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "parallel/communicator.h"

namespace hearth {

/// On rank 0, every rank's text in rank order; elsewhere nothing. Collective. REQUIRES: no text is empty.
std::vector<std::string> collect(Communicator& world, std::string_view mine);
/// Rank 0's text, on every rank. Collective. The others' argument is not looked at.
std::string spread(Communicator& world, std::string_view mine);

}  // namespace hearth
