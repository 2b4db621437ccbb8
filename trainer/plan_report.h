// A plan as text for people.
#pragma once

#include <string>
#include <vector>

#include "trainer/mesh_plan.h"

namespace hearth {

/// How else it is run: "ZeRO 3, zero_bubble, recomputing".
std::string layout_text(const PlannedLayout& layout);

/// Memory by stage of the pipeline, traffic by axis, time: one mesh on a screen.
std::string mesh_report(Planner& planner, const MeshPlan& plan, const Machine& machine, double memory);

/// One line each: the fastest first, at most `most` (0: all); then those that do not do, with their reasons (by
/// reason, when not all are shown).
std::string mesh_list(const std::vector<MeshPlan>& plans, std::size_t most);

}  // namespace hearth
