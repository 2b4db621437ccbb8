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

std::string change_tile(std::string_view name, const Change& change, std::string (*text)(double)) {
  if (change.first_step == change.last_step) {
    return tile(name, text(change.after), fmt::format("at step {}", grouped(change.last_step)));
  }
  return tile(name, fmt::format("<span class=\"was\">{} →</span> {}", text(change.before), text(change.after)),
              fmt::format("step {} → step {}", grouped(change.first_step), grouped(change.last_step)));
}

/// Tiles side by side in rows that are as even as their number allows.
std::string rows_of(const std::vector<std::string>& tiles, std::size_t most) {
  if (tiles.empty()) return "";
  const std::size_t rows = (tiles.size() + most - 1) / most;
  std::string out = fmt::format("<dl class=\"tiles\" style=\"--n:{}\">\n", (tiles.size() + rows - 1) / rows);
  for (const std::string& one : tiles) out += one;
  return out + "</dl>\n";
}

std::string numbers(const RunSummary& run) {
  std::vector<std::string> tiles;
  if (run.loss) {
    tiles.push_back(tile("Final loss", value_text(*run.loss),
                         std::isfinite(*run.loss) ? fmt::format("perplexity {:.4g}", std::exp(*run.loss)) : ""));
  }
  if (run.held_out) tiles.push_back(change_tile("Held-out loss", *run.held_out, value_text));
  if (run.exact_match) tiles.push_back(change_tile("Questions answered exactly", *run.exact_match, percent_text));
  tiles.push_back(tile("Tokens", grouped(run.tokens), fmt::format("{} of them trained", grouped(run.trained_tokens))));
  if (run.speed > 0) tiles.push_back(tile("Tokens per second", speed_text(run.speed), "all ranks"));
  tiles.push_back(tile("Duration", duration_text(run.seconds),
                       run.attempts > 1 ? fmt::format("{} attempts", run.attempts) : "one attempt"));
  tiles.push_back(tile("Steps", grouped(run.steps), fmt::format("{:.3g} passes over the data", run.epochs)));
  if (run.peak_memory > 0) {
    tiles.push_back(tile("Peak memory", bytes_text(static_cast<double>(run.peak_memory)), "tensors of the first rank"));
  }
  return rows_of(tiles, 4);
}

std::string words(const ReportFacts& facts) {
  std::vector<std::string> tiles;
  const auto add = [&](const char* name, const std::string& text) {
    if (text.empty()) return;
    tiles.push_back(fmt::format("<div><dt>{}</dt><dd class=\"words\">{}</dd></div>\n", name, escaped(text)));
  };
  add("Model", facts.model);
  add("Mesh", facts.mesh);
  return rows_of(tiles, 2);
}

std::string state(const RunSummary& run, const ReportFacts& facts) {
  std::string look = " open";
  std::string words = "no step yet";
  if (facts.broken) {
    look = " broken";
    words = fmt::format("failed after step {} of {}", grouped(run.steps), grouped(run.total_steps));
  } else if (run.broken) {
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

CurveFigure loss_figure(const Records& records, const RunSummary& run) {
  const auto losses = curve_of(records, &StepRecord::loss);
  const auto held = curve_of(records, &StepRecord::eval_loss);
  CurveFigure figure{"Loss", "nats per trained token", with_mean(losses), run.began};
  figure.scale = scale_for(losses, CurveScale::fitted);
  figure.size = CurveSize::large;
  if (!held.empty()) figure.series.push_back({"held out", "held", held});
  return figure;
}

std::string curves(const Records& records, const RunSummary& run) {
  if (run.steps == 0) return "";
  const auto norms = curve_of(records, &StepRecord::norm);
  const auto matches = curve_of(records, &StepRecord::exact_match);
  std::vector<CurveFigure> small = {
      {"Learning rate", "", {{"", "main", curve_of(records, &StepRecord::rate)}}, run.began, CurveScale::from_zero},
      {"Gradient norm", "before clipping", with_mean(norms), run.began, scale_for(norms, CurveScale::from_zero)},
      {"Throughput", "tokens per second", with_mean(throughput_of(records)), run.began, CurveScale::from_zero},
  };
  if (matches.size() > 2) {  // two make no curve: their tile says both
    small.push_back({"Questions answered exactly", "share", {{"", "held", matches}}, run.began, CurveScale::from_zero});
  }
  std::erase_if(small, [](const CurveFigure& figure) { return figure.series.front().points.empty(); });
  if (small.size() % 2 == 1) small.back().size = CurveSize::wide;
  std::string out = "<h2>Curves</h2>\n<div class=\"curves\">\n" + figure_html(loss_figure(records, run));
  for (const CurveFigure& figure : small) out += figure_html(figure);
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

std::string page(const Records& records, const RunSummary& run, const ReportFacts& facts, bool plots) {
  const std::string title = escaped(facts.title.empty() ? "hearth" : facts.title);
  std::string out = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  out += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  out += "<title>" + title + "</title>\n<style>" + std::string(report_style()) + "</style>\n</head>\n<body>\n";
  out += "<header><h1>" + title + "</h1>" + state(run, facts) + "</header>\n";
  if (!facts.ending.empty())
    out += fmt::format("<p class=\"ending{}\">{}</p>\n", facts.broken ? " broken" : "", escaped(facts.ending));
  out += numbers(run) + words(facts);
  if (plots) out += curves(records, run);
  out += section("Data", facts.counts) + recipe_section(facts.recipe);
  out += "<footer>\n";
  for (const std::string& line : {facts.program, facts.machine}) {
    if (!line.empty()) out += "<p>" + escaped(line) + "</p>\n";
  }
  return out + "<p>Every number: trainer_log.jsonl, beside this page.</p>\n</footer>\n</body>\n</html>\n";
}

}  // namespace

WrittenReport write_report(const Path& output_dir, const ReportFacts& facts, bool plots) {
  const Path log = output_dir / "trainer_log.jsonl";
  const Records records = std::filesystem::exists(log) ? read_metrics(log) : Records{};
  WrittenReport report = {output_dir / "report.html", summary_of(records)};
  write_file(report.path, page(records, report.summary, facts, plots));
  return report;
}

}  // namespace hearth
