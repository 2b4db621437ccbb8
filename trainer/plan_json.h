// A plan as JSON for programs: the numbers of trainer/plan_report, none rounded.
#pragma once

#include <nlohmann/json.hpp>

#include "trainer/mesh_plan.h"

namespace hearth {

/// {mesh: {pipe, data, context, tensor}, ranks, zero_stage, data_shard_size, pipeline_schedule, pipeline_chunks,
/// gradient_checkpointing, refusal: null or why it does not do}, and where sizes divide `stages`, one for each of the
/// pipeline: {memory: bytes by row, runtime apart, together: with it, traffic: {axis: {calls, bytes}}}; and where it does,
/// step_seconds, tokens_per_second, utilisation (of the peak, causal), bubble (of the schedule) and seconds by share.
nlohmann::ordered_json mesh_json(Planner& planner, const MeshPlan& plan, const Machine& machine);

}  // namespace hearth
