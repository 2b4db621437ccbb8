// A folder of a test's own, and logs to put there.
#pragma once

#include <string>

#include "trainer/metrics.h"

namespace hearth::test {

class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const Path& path() const { return path_; }
  Path log() const { return path_ / "trainer_log.jsonl"; }

 private:
  Path path_;
};

/// A step of a run of `total` steps that makes 1000 tokens a second.
StepRecord a_step(std::int64_t step, std::int64_t total);

}  // namespace hearth::test
