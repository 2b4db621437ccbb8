#include "trainer/plan_report.h"

#include <algorithm>

#include "trainer/progress.h"

namespace hearth {

namespace {

std::string bytes_of(std::size_t bytes) {
  return bytes == 0 ? "-" : bytes_text(static_cast<double>(bytes));
}

/// "1.23 s", "45.6 ms"
std::string seconds_text(double seconds) {
  if (seconds >= 100) return fmt::format("{:.0f} s", seconds);
  if (seconds >= 1) return fmt::format("{:.2f} s", seconds);
  return fmt::format("{:.2f} ms", 1e3 * seconds);
}

/// "950", "12.3k", "4.56M"
std::string count_text(double count) {
  if (count >= 1e6) return fmt::format("{:.2f}M", count / 1e6);
  if (count >= 1e4) return fmt::format("{:.1f}k", count / 1e3);
  return fmt::format("{:.0f}", count);
}

/// The stages that are shown: all when they are few, else the ends and the fullest.
std::vector<int> shown_stages(const MeshPlan& plan) {
  const int stages = static_cast<int>(plan.memory.size());
  std::vector<int> shown;
  for (int stage = 0; stage < stages; ++stage) {
    if (stages <= 4 || stage == 0 || stage == 1 || stage == stages - 1 || stage == plan.fullest) shown.push_back(stage);
  }
  return shown;
}

std::string memory_text(const MeshPlan& plan, const Machine& machine, double memory) {
  const std::vector<int> stages = shown_stages(plan);
  std::string text = fmt::format("{:<22}", "memory of a rank");
  for (const int stage : stages)
    text += fmt::format("{:>12}", plan.memory.size() == 1 ? "" : fmt::format("stage {}", stage));
  text += "\n";
  const auto line = [&](std::string_view name, const auto& value) {
    std::string cells;
    bool any = false;
    for (const int stage : stages) {
      const std::size_t bytes = value(plan.memory[static_cast<std::size_t>(stage)]);
      any = any || bytes > 0;
      cells += fmt::format("{:>12}", bytes_of(bytes));
    }
    if (any) text += fmt::format("  {:<20}{}\n", name, cells);
  };
  const std::size_t rows = MemoryPlan().rows().size();
  for (std::size_t i = 0; i < rows; ++i) {
    line(MemoryPlan().rows()[i].name, [i](const MemoryPlan& of) { return of.rows()[i].bytes; });
  }
  const auto runtime = static_cast<std::size_t>(machine.runtime);
  line("runtime", [runtime](const MemoryPlan&) { return runtime; });
  line("together", [runtime](const MemoryPlan& of) { return of.total() + runtime; });
  return text + fmt::format("  of {} in a device\n", device_text(memory));
}

/// Of the stage that sends most.
std::string traffic_text(Planner& planner, const MeshPlan& plan) {
  StepTraffic traffic;
  std::uint64_t most = 0;
  int busiest = 0;
  for (int stage = 0; stage < plan.layout.mesh.pipe; ++stage) {
    const StepTraffic some = planner.traffic(plan, stage);
    std::uint64_t bytes = 0;
    for (const StepTraffic::Row& row : some.rows()) bytes += all_of(*row.traffic).bytes;
    if (bytes <= most) continue;
    most = bytes;
    busiest = stage;
    traffic = some;
  }
  const std::string who = plan.layout.mesh.pipe == 1 ? "a rank" : fmt::format("a rank of stage {}", busiest);
  if (most == 0) return "nothing is sent: one rank\n";
  std::string text = fmt::format("{:<34}{:>10}{:>14}\n", who + " sends in a step", "calls", "bytes");
  for (const StepTraffic::Row& row : traffic.rows()) {
    const Traffic::Count all = all_of(*row.traffic);
    if (all.calls > 0) text += fmt::format("  {:<32}{:>10}{:>14}\n", row.name, all.calls, bytes_of(all.bytes));
  }
  return text;
}

const char* bubble_formula(const PlannedLayout& layout) {
  switch (layout.schedule) {
    case PipelineSchedule::one_f_one_b:
      return "(p - 1) / (m + p - 1)";
    case PipelineSchedule::interleaved:
      return "(p - 1) / (v m + p - 1)";
    case PipelineSchedule::zero_bubble:
      break;
  }
  return layout.rounds < layout.mesh.pipe ? "(2 p - m - 1) / (2 m + 2 p - 1)" : "(p - 1) / (3 m + p - 1)";
}

std::string time_text(const MeshPlan& plan, const Machine& machine) {
  const StepTime& time = plan.time;
  std::string text = fmt::format(
      "a step takes {} on {} (predicted): {} tokens/s a device, {} together\n", seconds_text(time.seconds),
      machine.name, count_text(time.tokens_per_second / plan.layout.mesh.ranks()), count_text(time.tokens_per_second));
  text += fmt::format("  utilisation {:.1f} % of the peak, causal ({:.1f} % counting the masked half)\n",
                      100 * time.mfu_causal, 100 * time.mfu_full);
  std::string parts;
  for (const TimeShares::Row& row : time.shares.rows()) {
    const double share = 100 * row.seconds / time.seconds;
    if (share >= 0.05) parts += fmt::format("{}{} {:.1f} %", parts.empty() ? "" : ", ", row.name, share);
  }
  text += fmt::format("  {}\n", parts);
  const PlannedLayout& layout = plan.layout;
  if (layout.mesh.pipe > 1) {
    text +=
        fmt::format("  bubble of {}: {:.2f} % = {}, p = {}, m = {}{}; {:.2f} % with these blocks and messages\n",
                    name_of(layout.schedule), 100 * plan.idle, bubble_formula(layout), layout.mesh.pipe, layout.rounds,
                    layout.chunks > 1 ? fmt::format(", v = {}", layout.chunks) : "", 100 * time.bubble);
  }
  return text;
}

}  // namespace

std::string layout_text(const PlannedLayout& layout) {
  std::string text = fmt::format("ZeRO {}", layout.zero_stage);
  if (layout.mesh.pipe > 1) text += fmt::format(", {}", name_of(layout.schedule));
  if (layout.chunks > 1) text += fmt::format(" ({} chunks)", layout.chunks);
  if (layout.recompute == 1) text += ", recomputing";
  if (layout.recompute > 1) text += fmt::format(", recomputing one layer in {}", layout.recompute);
  return text;
}

std::string mesh_report(Planner& planner, const MeshPlan& plan, const Machine& machine, double memory) {
  std::string text = fmt::format("{}: {}\n\n", plan.layout.mesh.text(), layout_text(plan.layout));
  if (!plan.memory.empty()) {
    text += memory_text(plan, machine, memory) + "\n";
    text += traffic_text(planner, plan) + "\n";
  }
  text += plan.refusal.empty() ? time_text(plan, machine) : fmt::format("this does not do: {}\n", plan.refusal);
  return text;
}

namespace {

/// With the reasons of `count` meshes that do not do. Not all: those of one reason in one line.
std::string refused_list(const std::vector<MeshPlan>& plans, std::size_t count, std::size_t most) {
  struct Line {
    const MeshPlan* first = nullptr;
    std::size_t more = 0;
  };
  std::vector<Line> lines;
  for (const MeshPlan& plan : plans) {
    if (plan.refusal.empty()) continue;
    const auto known =
        std::find_if(lines.begin(), lines.end(), [&](const Line& line) { return line.first->refusal == plan.refusal; });
    if (most > 0 && known != lines.end()) {
      ++known->more;
    } else {
      lines.push_back({&plan});
    }
  }
  if (lines.empty()) return "";
  std::string text = fmt::format("{} do not:\n", count);
  std::size_t told = 0;
  for (std::size_t i = 0; i < lines.size() && (most == 0 || i < most); ++i) {
    const std::string more = lines[i].more > 0 ? fmt::format(" and {} more", lines[i].more) : "";
    text += fmt::format("  {}{}: {}\n", lines[i].first->layout.mesh.text(), more, lines[i].first->refusal);
    told += 1 + lines[i].more;
  }
  if (told < count) text += fmt::format("  and {} more (--all shows them)\n", count - told);
  return text;
}

}  // namespace

std::string mesh_list(const std::vector<MeshPlan>& plans, std::size_t most) {
  std::size_t fitting = 0;
  for (const MeshPlan& plan : plans) fitting += plan.refusal.empty() ? 1 : 0;
  std::string text = fmt::format("{} of {} meshes do\n", fitting, plans.size());
  if (fitting > 0) {
    text += fmt::format("  {:>9} {:>9} {:>6} {:>9}  mesh\n", "a step", "tok/s", "util.", "memory");
  }
  std::size_t shown = 0;
  for (const MeshPlan& plan : plans) {
    if (!plan.refusal.empty() || (most > 0 && shown == most)) continue;
    ++shown;
    text += fmt::format("  {:>9} {:>9} {:>4.0f} % {:>9}  {}: {}\n", seconds_text(plan.time.seconds),
                        count_text(plan.time.tokens_per_second), 100 * plan.time.mfu_causal, bytes_text(plan.bytes),
                        plan.layout.mesh.text(), layout_text(plan.layout));
  }
  if (shown < fitting) text += fmt::format("  and {} more that take longer (--all shows them)\n", fitting - shown);
  return text + refused_list(plans, plans.size() - fitting, most);
}

}  // namespace hearth
