// Which rows each step of a run takes: the row cursor, from where a run stands to its end.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "trainer/checkpoint.h"
#include "trainer/recipe.h"
#include "trainer/step.h"

namespace hearth {

class RunRows {
 public:
  /// Of a run over `rows` training rows whose steps are divided so. The recipe must outlive it.
  RunRows(const Recipe& recipe, std::int64_t rows, const StepRows& of_step);

  const StepRows& of_step() const { return of_step_; }
  /// The steps of the whole run, of which `state` has done some.
  std::int64_t steps(const RunState& state) const;
  /// The rows of the next step, from the cursor on: it counts rows, not steps, so that a run which ended in a short step
  /// goes on where it stood when it is given more epochs.
  std::vector<std::int64_t> next(const RunState& state) const;
  /// Every microbatch to come. As if from the beginning, so that an attempt that goes on has the buffers of the first;
  /// only where a short step lay before, microbatches begin at other places than they would have.
  Places to_come(const RunState& state) const;

 private:
  /// Where the run ends, as a position of the row cursor; nothing when steps are counted instead.
  std::optional<std::int64_t> end() const;

  const Recipe& recipe_;
  std::int64_t rows_;
  StepRows of_step_;
};

}  // namespace hearth
