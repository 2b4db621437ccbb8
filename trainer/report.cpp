#include "trainer/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <sstream>

#include "trainer/curves.h"
#include "trainer/metrics.h"
#include "trainer/progress.h"
#include "trainer/report_style.h"
#include "trainer/report_summary.h"
#include "trainer/report_text.h"

namespace hearth {

namespace {

using Records = std::vector<StepRecord>;

/// One tile: `value` and `more` are HTML.
std::string tile(std::string_view name, std::string_view value, std::string_view more = "") {
  std::string out = fmt::format("<div><dt>{}</dt><dd class=\"value\">{}</dd>", name, value);
  if (!more.empty()) out += fmt::format("<dd class=\"more\">{}</dd>", more);
  return out + "</div>\n";
}

std::string wide_tile(std::string_view name, std::string_view words) {
  if (words.empty()) return "";
  return fmt::format("<div class=\"wide\"><dt>{}</dt><dd class=\"words\">{}</dd></div>\n", name, escaped(words));
}

std::string change_tile(std::string_view name, const Change& change, std::string (*text)(double)) {
  if (!change.measured_twice) return tile(name, text(change.after), "measured once");
  return tile(name, fmt::format("<span class=\"was\">{} →</span> {}", text(change.before), text(change.after)),
              "before → after");
}

std::string tiles(const RunSummary& run, const ReportFacts& facts) {
  std::string out = "<dl class=\"tiles\">\n";
  if (run.loss) {
    out += tile("Final loss", value_text(*run.loss),
                std::isfinite(*run.loss) ? fmt::format("perplexity {:.4g}", std::exp(*run.loss)) : "");
  }
  if (run.held_out) out += change_tile("Held-out loss", *run.held_out, value_text);
  if (run.exact_match) out += change_tile("Questions answered exactly", *run.exact_match, percent_text);
  out += tile("Tokens", grouped(run.tokens), fmt::format("{} of them trained", grouped(run.trained_tokens)));
  const double speed = run.seconds > 0 ? static_cast<double>(run.tokens) / run.seconds : 0;
  if (speed > 0) {
    out += tile("Tokens per second", grouped(static_cast<std::int64_t>(std::min(speed, 1e15) + 0.5)), "all ranks");
  }
  out += tile("Duration", duration_text(run.seconds),
              run.attempts > 1 ? fmt::format("{} attempts", run.attempts) : std::string("one attempt"));
  out += tile("Steps", grouped(run.steps), fmt::format("{:.3g} passes over the data", run.epochs));
  if (run.peak_memory > 0) {
    out += tile("Peak memory", bytes_text(static_cast<double>(run.peak_memory)), "tensors of the first rank");
  }
  return out + wide_tile("Model", facts.model) + wide_tile("Mesh", facts.mesh) + "</dl>\n";
}

std::string state(const RunSummary& run) {
  std::string look = " open";
  std::string words = "no step yet";
  if (run.broken) {
    look = " broken";
    words = fmt::format("not finite at step {}", grouped(*run.broken));
  } else if (run.steps > 0 && run.steps >= run.total_steps) {
    look = "";
    words = "finished";
  } else if (run.steps > 0) {
    words = fmt::format("step {} of {}", grouped(run.steps), grouped(run.total_steps));
  }
  return fmt::format("<span class=\"state{}\">{}</span>", look, words);
}

/// The values of each step; from a hundred steps on faintly, with their running mean above them.
std::vector<CurveSeries> with_mean(std::vector<CurvePoint> points) {
  if (points.size() < 100) return {{"each step", "main", std::move(points)}};
  const std::size_t window = std::max<std::size_t>(9, points.size() / 50);
  auto means = running_mean(points, window);
  return {{"each step", "raw", std::move(points)}, {fmt::format("mean of {} steps", window), "main", std::move(means)}};
}

std::string loss_figure(const Records& records, const RunSummary& run) {
  const auto losses = curve_of(records, &StepRecord::loss);
  const auto held = curve_of(records, &StepRecord::eval_loss);
  CurveFigure figure{"Loss", "nats per trained token", with_mean(losses), run.began};
  figure.scale = scale_for(losses, CurveScale::fitted);
  figure.width = 1000;
  figure.height = 320;
  if (!held.empty()) figure.series.push_back({"held out", "held", held});
  return figure_html(figure);
}

std::string small_figure(const char* title, const char* unit, std::vector<CurveSeries> series, CurveScale scale,
                         const RunSummary& run) {
  if (series.front().points.empty()) return "";
  return figure_html({title, unit, std::move(series), run.began, scale, 490, 240});
}

std::string curves(const Records& records, const RunSummary& run) {
  if (run.steps == 0) return "";
  const auto norms = curve_of(records, &StepRecord::norm);
  const auto matches = curve_of(records, &StepRecord::exact_match);
  std::string out = "<h2>Curves</h2>\n<div class=\"curves\">\n" + loss_figure(records, run);
  out += small_figure("Learning rate", "", {{"", "main", curve_of(records, &StepRecord::rate)}}, CurveScale::from_zero,
                      run);
  out +=
      small_figure("Gradient norm", "before clipping", with_mean(norms), scale_for(norms, CurveScale::from_zero), run);
  out += small_figure("Throughput", "tokens per second", with_mean(throughput_of(records)), CurveScale::from_zero, run);
  if (matches.size() > 1) {
    out += small_figure("Questions answered exactly", "share", {{"", "held", matches}}, CurveScale::from_zero, run);
  }
  return out +
         "</div>\n<p class=\"note\">Throughput is that of each step by itself: a step after an evaluation or a "
         "checkpoint carries its time.</p>\n";
}

std::string section(std::string_view name, std::string_view text) {
  if (text.empty()) return "";
  return fmt::format("<h2>{}</h2>\n<pre>{}</pre>\n", name, escaped(text));
}

/// The recipe; lines that nobody stated stand back.
std::string recipe_section(const std::string& recipe) {
  if (recipe.empty()) return "";
  std::string out = "<h2>Recipe</h2>\n<pre>";
  std::istringstream lines(recipe);
  for (std::string line; std::getline(lines, line);) {
    const bool default_value = line.ends_with("  # default");
    out += default_value ? "<span class=\"default\">" + escaped(line) + "</span>\n" : escaped(line) + "\n";
  }
  return out + "</pre>\n";
}

std::string page(const Records& records, const ReportFacts& facts, bool plots) {
  const RunSummary run = summary_of(records);
  const std::string title = escaped(facts.title.empty() ? "hearth" : facts.title);
  std::string out = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  out += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  out += "<title>" + title + "</title>\n<style>" + std::string(report_style()) + "</style>\n</head>\n<body>\n";
  out += "<header><h1>" + title + "</h1>" + state(run) + "</header>\n";
  out += tiles(run, facts);
  if (plots) out += curves(records, run);
  out += section("Data", facts.counts) + recipe_section(facts.recipe);
  out += "<footer>\n";
  for (const std::string& line : {facts.program, facts.machine}) {
    if (!line.empty()) out += "<p>" + escaped(line) + "</p>\n";
  }
  return out + "<p>Every number: trainer_log.jsonl, beside this page.</p>\n</footer>\n</body>\n</html>\n";
}

}  // namespace

Path write_report(const Path& output_dir, const ReportFacts& facts, bool plots) {
  const Path log = output_dir / "trainer_log.jsonl";
  const Records records = std::filesystem::exists(log) ? read_metrics(log) : Records{};
  const Path path = output_dir / "report.html";
  write_file(path, page(records, facts, plots));
  return path;
}

}  // namespace hearth
