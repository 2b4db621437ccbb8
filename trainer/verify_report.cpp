#include "trainer/verify_report.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace hearth {

namespace {

using Json = nlohmann::ordered_json;

const char* order_of(const VerifyPlan& plan) {
  return plan.placed.order == SumOrder::fast ? "fast" : "fixed";
}

std::string model_text(const ModelConfig& config) {
  return fmt::format("{}, {} layers, width {}, {} heads of {} ({} for keys), hidden {}, vocabulary {}{}{}",
                     name_of(config.architecture), config.layers, config.width, config.heads, config.head_width,
                     config.key_value_heads, config.hidden, config.vocabulary, config.tied ? ", tied" : "",
                     config.window > 0 ? fmt::format(", window {}", config.window) : "");
}

std::string mesh_text(const VerifyReport& report) {
  const VerifyPlan& plan = report.plan;
  std::string text = fmt::format("{}, ZeRO {}", plan.mesh.text(), plan.placed.zero_stage);
  if (plan.mesh.pipe > 1) {
    text += fmt::format(", {}", name_of(plan.placed.schedule));
    if (plan.placed.chunks > 1) text += fmt::format(" of {} chunks", plan.placed.chunks);
  }
  if (plan.placed.recompute > 0) text += fmt::format(", recomputing every layer of {}", plan.placed.recompute);
  return text + fmt::format(", sums {}", order_of(plan));
}

std::string short_text(double error) {
  return error == 0 ? "0" : fmt::format("{:.1e}", error);
}

std::string place_of(const VerifyCheck& check) {
  return check.parameter.empty() ? fmt::format("rank {}", check.rank)
                                 : fmt::format("{}, rank {}", check.parameter, check.rank);
}

std::string verdict(const VerifyReport& report) {
  const VerifyCheck* worst = report.worst();
  if (worst == nullptr) return "good: this mesh gives what one rank gives";
  return fmt::format("OFF: {} in {}{}, most on rank {}: {:.2e}, allowed {:.2e}; axis: {}", worst->what,
                     name_of(worst->dtype), worst->parameter.empty() ? "" : ", parameter " + worst->parameter,
                     worst->rank, worst->error, worst->allowed, axes_text(report));
}

Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json("inf");
}

Json line(const VerifyCheck& check) {
  Json json = {{"dtype", name_of(check.dtype)},
               {"what", check.what},
               {"error", number(check.error)},
               {"allowed", number(check.allowed)},
               {"good", check.good()}};
  if (!check.parameter.empty()) json["parameter"] = check.parameter;
  json["rank"] = check.rank;
  return json;
}

Json mesh_json(const VerifyReport& report) {
  const VerifyPlan& plan = report.plan;
  Json json = {{"ranks", report.ranks}};
  for (const Axis axis : {Axis::pipe, Axis::data, Axis::context, Axis::tensor}) {
    json[name_of(axis)] = size_of(plan.mesh, axis);
  }
  json["data_shard_size"] = plan.mesh.shard > 0 ? plan.mesh.shard : plan.mesh.data * plan.mesh.context;
  json["zero_stage"] = plan.placed.zero_stage;
  json["pipeline_schedule"] = name_of(plan.placed.schedule);
  json["pipeline_chunks"] = plan.placed.chunks;
  json["gradient_checkpointing"] = plan.placed.recompute;
  json["sum_order"] = order_of(plan);
  return json;
}

Json model_json(const ModelConfig& config) {
  return {{"model_type", name_of(config.architecture)},
          {"num_hidden_layers", config.layers},
          {"hidden_size", config.width},
          {"intermediate_size", config.hidden},
          {"vocab_size", config.vocabulary},
          {"num_attention_heads", config.heads},
          {"num_key_value_heads", config.key_value_heads},
          {"head_dim", config.head_width},
          {"sliding_window", config.window},
          {"tie_word_embeddings", config.tied}};
}

}  // namespace

std::string axes_text(const VerifyReport& report) {
  if (report.ranks == 1) return "none, there is one rank";
  if (report.axes.empty()) return "none alone, only all together (" + report.plan.mesh.text() + ")";
  std::string text;
  for (const std::string& axis : report.axes) text += (text.empty() ? "" : ", ") + axis;
  return text;
}

std::string verify_text(const VerifyReport& report, const std::string& name) {
  const VerifyPlan& plan = report.plan;
  std::string text = fmt::format("{}: {}\nagainst one rank: {}\n", name, mesh_text(report), model_text(plan.config));
  text += fmt::format("{} + {} made-up rows, {} a microbatch, rate {}\n\n", plan.first_rows.size(),
                      plan.second_rows.size(), plan.step.microbatch_rows, verify_rate);
  text += fmt::format("{:<6}{:<34}{:>10}{:>10}  {}\n", "", "relative error of", "largest", "allowed", "where");
  for (const VerifyCheck& check : report.checks) {
    text += fmt::format("{:<6}{:<34}{:>10}{:>10}", name_of(check.dtype), check.what, short_text(check.error),
                        short_text(check.allowed));
    if (check.error != 0) text += "  " + place_of(check);
    text += check.good() ? "\n" : "  OFF\n";
  }
  if (!report.note.empty()) text += fmt::format("note: {}\n", report.note);
  text += "allowed: ";
  if (!report.note.empty()) text += "no bits on processors of different kinds, but ";
  for (std::size_t i = 0; i < report.bounds.size(); ++i) {
    if (i > 0 && report.bounds[i].why == report.bounds[0].why) continue;
    text += fmt::format("{}{}", i == 0 ? "" : "\n   bf16: ", report.bounds[i].why);
  }
  return text + "\n" + verdict(report) + "\n";
}

std::string verify_json(const VerifyReport& report, const std::string& name) {
  Json json = {{"recipe", name},
               {"good", report.good()},
               {"mesh", mesh_json(report)},
               {"model", model_json(report.plan.config)}};
  json["microbatch_rows"] = report.plan.step.microbatch_rows;
  json["rows"] = {report.plan.first_rows.size(), report.plan.second_rows.size()};
  json["checks"] = Json::array();
  for (const VerifyCheck& check : report.checks) json["checks"].push_back(line(check));
  if (!report.note.empty()) json["note"] = report.note;
  json["bounds"] = Json::array();
  for (const VerifyBounds& bounds : report.bounds) json["bounds"].push_back(bounds.why);
  if (const VerifyCheck* worst = report.worst()) {
    json["off"] = line(*worst);
    json["off"]["axes"] = report.axes;
  }
  return json.dump(2) + "\n";
}

void require_good(const VerifyReport& report, const std::string& name) {
  if (report.good()) return;
  fail_everywhere(Kind::validation,
                  "{}: {}. Do not train on this mesh; run it again, then on other machines or without that axis", name,
                  verdict(report));
}

}  // namespace hearth
