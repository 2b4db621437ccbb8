#include "report/scratch.h"

#include <stdlib.h>

#include "base/error.h"

namespace hearth::test {

Scratch::Scratch() {
  std::string name = (std::filesystem::temp_directory_path() / "hearth-report-XXXXXX").string();
  require(::mkdtemp(name.data()) != nullptr, "the test has a folder to write in");
  path_ = name;
}

Scratch::~Scratch() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

StepRecord a_step(std::int64_t step, std::int64_t total) {
  StepRecord r;
  r.step = step;
  r.total_steps = total;
  r.loss = 5.0 / static_cast<double>(step + 1) + 1;
  r.rate = 1e-3;
  r.norm = 0.5;
  r.elapsed = static_cast<double>(step);
  r.tokens = 1000 * step;
  r.throughput = 1000;
  r.trained_tokens = 900 * step;
  r.peak_memory = 3u << 20;
  return r;
}

}  // namespace hearth::test
