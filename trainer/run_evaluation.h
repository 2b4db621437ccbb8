// What a run is measured by, besides its steps: held-out rows and questions.
#pragma once

#include <optional>
#include <string>

#include "data/dataset.h"
#include "trainer/evaluate.h"
#include "trainer/metrics.h"
#include "trainer/recipe.h"

namespace hearth {

class RunEvaluation {
 public:
  /// Either may be null: then nothing is measured by it. All must outlive this.
  RunEvaluation(const Recipe& recipe, const Dataset* held_out, const Dataset* questions);

  bool any() const { return held_out_ || questions_; }
  bool asks_questions() const { return questions_.has_value(); }
  /// The most tokens of one of its rows; 0 where there are none.
  std::int64_t capacity() const;
  /// Whether something is measured after step `step` of `steps`; always before the first and after the last.
  bool due_after(std::int64_t step, std::int64_t steps) const;
  /// Fills eval_loss and exact_match of the record. Returns false where `asked` said on some rank that it is to end: then
  /// the record is as it was. Collective.
  bool measure(Pipeline& pipeline, const Asked& asked, StepRecord& record) const;

 private:
  const Recipe& recipe_;
  std::optional<DatasetRows> held_out_;
  std::optional<DatasetRows> questions_;
};

/// "after step 5:  held-out loss 2.1000", of what was measured.
std::string measured_text(const StepRecord& record);

}  // namespace hearth
