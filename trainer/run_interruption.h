// What a run does about a signal that asks it to end, before it has trained anything.
#pragma once

#include "data/together.h"
#include "trainer/recipe.h"
#include "trainer/run.h"

namespace hearth {

/// As this rank sees it.
bool asked_to_end(const RunContext& context);

/// The ranks of a run on their files; whatever takes long with them ends soon after a signal came, with Kind::preempted.
/// Both must outlive what is returned.
Together together_until_asked(const RunContext& context, const Recipe& recipe);

/// Ends all ranks with Kind::preempted where any was asked to. Collective. REQUIRES: this start has done no step.
void end_if_asked(const RunContext& context, const Recipe& recipe);

}  // namespace hearth
