// What a person sees while a run goes on.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

#include "trainer/metrics.h"

namespace hearth {

enum class ProgressStyle { bar, lines, none };

/// Prints to `out`; belongs to the first rank (others make one of style none).
class Progress {
 public:
  Progress(ProgressStyle style, bool colors, std::int64_t every, std::FILE* out);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// After a step. A bar is redrawn at most ten times a second, a line is printed every `every` steps and at the last,
  /// which `last` may say of another than the run's.
  void step(const StepRecord& record, bool last = false);
  /// A line of its own, above the bar.
  void note(const std::string& text);
  /// The bar is left as it stands; what is printed next begins on a new line.
  void end();

 private:
  void clear();
  void draw();

  ProgressStyle style_;
  bool colors_;
  std::int64_t every_;
  std::FILE* out_;
  std::string bar_;  // as it stands on the screen; empty: there is none
  double last_drawn_ = -1;
};

/// The bar for a terminal of `columns` columns, one less wide than that. What does not fit beside it is left out, from
/// the end: memory, tokens/s, time left, loss, steps.
std::string bar_text(const StepRecord& record, int columns, bool colors);
/// The plain line.
std::string line_text(const StepRecord& record);
/// "1.5 GiB"
std::string bytes_text(double bytes);
/// The memory of a device, in GiB as exactly as it is sold and measured: "79.65 GiB", "24 GiB".
std::string device_text(double bytes);

}  // namespace hearth
