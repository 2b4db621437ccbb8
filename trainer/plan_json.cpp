#include "trainer/plan_json.h"

#include <fmt/format.h>

namespace hearth {

namespace {

using Json = nlohmann::ordered_json;

Json memory_json(const MemoryPlan& memory) {
  Json json;
  for (const MemoryPlan::Row& row : memory.rows()) json[std::string(row.name)] = row.bytes;
  return json;
}

Json traffic_json(const StepTraffic& traffic) {
  Json json = Json::object();
  for (const StepTraffic::Row& row : traffic.rows()) {
    const Traffic::Count all = all_of(*row.traffic);
    if (all.calls > 0) json[std::string(row.key)] = {{"calls", all.calls}, {"bytes", all.bytes}};
  }
  return json;
}

void add_time(const StepTime& time, double idle, Json& json) {
  json["step_seconds"] = time.seconds;
  json["tokens_per_second"] = time.tokens_per_second;
  json["utilisation"] = time.mfu_causal;
  json["bubble"] = idle;
  for (const TimeShares::Row& row : time.shares.rows()) json["seconds"][std::string(row.key)] = row.seconds;
}

}  // namespace

Json mesh_json(Planner& planner, const MeshPlan& plan, const Machine& machine) {
  const PlannedLayout& layout = plan.layout;
  Json json = {{"mesh",
                {{"pipe", layout.mesh.pipe},
                 {"data", layout.mesh.data},
                 {"context", layout.mesh.context},
                 {"tensor", layout.mesh.tensor}}},
               {"ranks", layout.mesh.ranks()},
               {"zero_stage", layout.zero_stage},
               {"data_shard_size", layout.mesh.shard > 0 ? layout.mesh.shard : layout.sums()},
               {"pipeline_schedule", layout.mesh.pipe > 1 ? Json(name_of(layout.schedule)) : Json()},
               {"pipeline_chunks", layout.chunks},
               {"gradient_checkpointing", layout.recompute},
               {"refusal", plan.refusal.empty() ? Json() : Json(plan.refusal)}};
  const auto runtime = static_cast<std::size_t>(machine.runtime);
  for (std::size_t stage = 0; stage < plan.memory.size(); ++stage) {
    const MemoryPlan& memory = plan.memory[stage];
    json["stages"].push_back({{"memory", memory_json(memory)},
                              {"runtime", runtime},
                              {"together", memory.total() + runtime},
                              {"traffic", traffic_json(planner.traffic(plan, static_cast<int>(stage)))}});
  }
  if (plan.refusal.empty()) add_time(plan.time, plan.idle, json);
  return json;
}

}  // namespace hearth
