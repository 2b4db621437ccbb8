// A run that somebody disturbs, and the one that nobody did.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "job/job.h"
#include "trainer/metrics.h"

namespace hearth::test {

class Resume : public testing::Test {
 protected:
  Resume() { test::write_rows(folder_.path()); }

  JobOptions options(int accumulation = 2) const {
    return {.zero_stage = 3, .accumulation = accumulation, .save_steps = 4};
  }
  /// Stops after `step` steps, as a signal would.
  RunEnd run_until(std::int64_t step, int ranks, const std::string& name, const JobOptions& o) {
    std::atomic<bool> flag = false;
    return run_on_threads(ranks, folder_.path(), name, o, [&](RunContext& context) {
      context.interrupted = &flag;
      context.after_step = [&flag, step](std::int64_t done) {
        if (done == step) flag = true;
      };
    });
  }

  /// Computes some steps on devices that are called so, one kind a rank; what was said meanwhile.
  std::string said_on(std::int64_t steps, const std::vector<std::string>& kinds) {
    JobOptions o = options(4);
    o.steps = steps;
    char* text = nullptr;
    std::size_t size = 0;
    std::FILE* out = ::open_memstream(&text, &size);
    run_on_threads(static_cast<int>(kinds.size()), folder_.path(), "moved", o, [&](RunContext& context) {
      const std::string& kind = kinds[static_cast<std::size_t>(context.world.rank())];
      context.make_device = [make = context.make_device, kind](std::optional<Bf16Products> products) {
        ChosenDevice device = make(products);
        device.kind = kind;
        return device;
      };
      context.progress = ProgressStyle::lines;
      context.out = out;
    });
    std::fclose(out);
    std::string said(text, size);
    std::free(text);
    return said;
  }

  test::Folder folder_;
};

/// Whether a file, which is too long for a message, holds this.
inline bool says(const Path& file, const std::string& text) {
  return read_text(file).find(text) != std::string::npos;
}

/// The lines of a run's log that hold an evaluation: step and loss.
inline std::vector<std::pair<std::int64_t, double>> evaluations_of(const Path& run) {
  std::vector<std::pair<std::int64_t, double>> found;
  for (const StepRecord& record : read_metrics(run / "trainer_log.jsonl")) {
    if (record.eval_loss) found.emplace_back(record.step, *record.eval_loss);
  }
  return found;
}

}  // namespace hearth::test
