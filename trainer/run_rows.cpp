#include "trainer/run_rows.h"

#include <algorithm>

#include "data/sampler.h"

namespace hearth {

RunRows::RunRows(const Recipe& recipe, std::int64_t rows, const StepRows& of_step)
    : recipe_(recipe), rows_(rows), of_step_(of_step) {}

std::optional<std::int64_t> RunRows::end() const {
  if (recipe_.train.max_steps) return std::nullopt;
  return Sampler::positions_in(recipe_.train.num_train_epochs, rows_);
}

std::int64_t RunRows::steps(const RunState& state) const {
  if (recipe_.train.max_steps) return *recipe_.train.max_steps;
  const std::int64_t left = std::max<std::int64_t>(0, *end() - state.row);
  return state.step + (left + of_step_.rows - 1) / of_step_.rows;
}

std::vector<std::int64_t> RunRows::next(const RunState& state) const {
  const Sampler sampler(Key(static_cast<std::uint64_t>(recipe_.train.seed)).with("order"), rows_, of_step_.rows,
                        recipe_.data.shuffle ? Order::shuffled : Order::as_in_file);
  const std::int64_t full = state.row + of_step_.rows;
  const std::int64_t last = std::min(full, end().value_or(full));
  std::vector<std::int64_t> rows;
  for (std::int64_t position = state.row; position < last; ++position) rows.push_back(sampler.row_at(position));
  return rows;
}

Places RunRows::to_come(const RunState& state) const {
  const std::int64_t full = state.row + std::max<std::int64_t>(0, steps(state) - state.step) * of_step_.rows;
  return {of_step_.microbatch, state.row % of_step_.microbatch, std::min(full, end().value_or(full))};
}

}  // namespace hearth
