// What `verify` found, for people and for programs.
#pragma once

#include <string>

#include "trainer/verify.h"

namespace hearth {

/// "pipe", "data x tensor", or that only all axes together fail.
std::string axes_text(const VerifyReport& report);
/// A table: what was compared, the largest error, what is allowed, where; and a verdict. `name`: of the recipe.
std::string verify_text(const VerifyReport& report, const std::string& name);
/// The same as JSON, with a newline. A number that is not finite is a text: "inf".
std::string verify_json(const VerifyReport& report, const std::string& name);
/// Throws Kind::validation, on every rank alike, naming what is off, parameter, rank and axis; nothing when it is good.
void require_good(const VerifyReport& report, const std::string& name);

}  // namespace hearth
