// What each axis of the mesh costs a step: mpirun -n 2 axes_bench [rounds [tokens]]. A Llama of 25M parameters in f32, one
// compute thread a rank, eight microbatches of one row of 256 tokens; meshes take turns, medians. Beside each mesh stand
// how much longer the step takes than that of one rank alone divided by the ranks, while as many such ranks work side by
// side; what a rank spends in communication, waiting for the other included; what its bytes and calls come to at the
// rates of the links, measured in the same run; and these.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <vector>

#include "kernels/backend.h"
#include "parallel/mpi.h"
#include "timed_world.h"
#include "trainer/machine_measure.h"
#include "trainer/model_on_mesh.h"
#include "trainer/step.h"
#include "trainer/weights.h"

namespace hearth {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t microbatches = 8;

ModelConfig config_of_bench(std::int64_t row_tokens) {
  ModelConfig config;
  config.vocabulary = 8192;
  config.width = 512;
  config.hidden = 1376;
  config.layers = 6;
  config.heads = 8;
  config.key_value_heads = 4;
  config.head_width = 64;
  config.max_positions = row_tokens;
  return config;
}

ListedRows rows_of_bench(std::int64_t row_tokens) {
  std::vector<Row> rows;
  for (std::int64_t r = 0; r < microbatches; ++r) {
    std::vector<std::int32_t> ids;
    for (std::int64_t t = 0; t < row_tokens; ++t)
      ids.push_back(static_cast<std::int32_t>((r * 7919 + t * 104729) % 8192));
    rows.push_back(labelled_row(std::move(ids), {}));
  }
  return ListedRows(std::move(rows));
}

struct Case {
  const char* name;
  MeshShape mesh;
  int zero_stage = 0;
  SumOrder order = SumOrder::fixed;
  PipelineSchedule schedule = PipelineSchedule::one_f_one_b;
  bool blocking = false;
  bool alone = false;  // every rank runs all microbatches by itself
};

std::vector<Case> cases(int ranks) {
  using enum PipelineSchedule;
  return {{"one rank, others beside it", {}, 0, SumOrder::fixed, one_f_one_b, false, true},
          {"one rank, fast order", {}, 0, SumOrder::fast, one_f_one_b, false, true},
          {"data, ZeRO 0, fixed", {.data = ranks}},
          {"data, ZeRO 0, fast", {.data = ranks}, 0, SumOrder::fast},
          {"data, ZeRO 2", {.data = ranks}, 2},
          {"data, ZeRO 3", {.data = ranks}, 3},
          {"data, ZeRO 3, nothing hidden", {.data = ranks}, 3, SumOrder::fixed, one_f_one_b, true},
          {"tensor", {.tensor = ranks}},
          {"context", {.context = ranks}},
          {"context, nothing hidden", {.context = ranks}, 0, SumOrder::fixed, one_f_one_b, true},
          {"pipe, 1f1b", {.pipe = ranks}},
          {"pipe, zero bubble", {.pipe = ranks}, 0, SumOrder::fixed, zero_bubble}};
}

/// A case that is ready to run.
class Runner {
 public:
  Runner(const Case& of, std::int64_t row_tokens, MpiSession& session)
      : case_(of),
        row_tokens_(row_tokens),
        alone_(make_self_communicator()),
        world_(of.alone ? *alone_ : session.world(), spent_),
        backend_(make_cpu_backend({.threads = 1, .memory = session.make_memory()})),
        mesh_(world_, of.mesh),
        model_(config_of_bench(row_tokens), 0, Init::normal, {.tensor = of.mesh.tensor, .context = of.mesh.context}),
        rows_(rows_of_bench(row_tokens)),
        on_(model_, mesh_, placed(), backend_->ops(), backend_->memory()),
        stepper_(on_.pipeline, on_.groups, backend_->ops(), backend_->memory(), rows_, {.microbatch_rows = 1}) {
    fill_fresh(on_.groups, 1);
  }

  /// Seconds of one step, from a common beginning to the end of the last rank.
  double step(Communicator& world) {
    std::vector<std::int64_t> chosen(microbatches);
    std::iota(chosen.begin(), chosen.end(), 0);
    spent_ = {};
    spent_.blocking = case_.blocking;
    world.barrier();
    const auto began = Clock::now();
    stepper_.step(steps_, chosen, 1e-3);
    ++steps_;
    const double communicated = spent_.seconds;
    world.barrier();
    const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
    communication_.push_back(communicated);
    return seconds;
  }

  const Case& of() const { return case_; }
  const test::Spent& spent() const { return spent_; }
  std::vector<double>& communication() { return communication_; }
  int stages() const { return case_.mesh.pipe; }

 private:
  PlacedOptions placed() const {
    PlacedOptions options;
    options.zero_stage = case_.zero_stage;
    options.capacity = row_tokens_;
    options.schedule = case_.schedule;
    options.order = case_.order;
    return options;
  }

  Case case_;
  std::int64_t row_tokens_;
  test::Spent spent_;
  std::unique_ptr<Communicator> alone_;
  test::TimedWorld world_;
  std::unique_ptr<Backend> backend_;
  Mesh mesh_;
  Transformer model_;
  ListedRows rows_;
  ModelOnMesh on_;
  Stepper stepper_;
  std::int64_t steps_ = 0;
  std::vector<double> communication_;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::uint64_t bytes_of(const Traffic& t) {
  return t.sum.bytes + t.gather.bytes + t.reduce_scatter.bytes + t.exchange.bytes + t.point.bytes;
}
std::uint64_t calls_of(const Traffic& t) {
  return t.sum.calls + t.gather.calls + t.reduce_scatter.calls + t.exchange.calls + t.point.calls;
}

/// What the counted operations take at the measured rates. A message goes as fast as a gather.
double seconds_by(const Machine::Link& link, const Traffic& t) {
  const double summed = static_cast<double>(t.reduce_scatter.bytes);
  return (static_cast<double>(bytes_of(t)) - summed) / link.gather + summed / link.reduce +
         static_cast<double>(calls_of(t)) * link.latency;
}

void run(MpiSession& session, int rounds, std::int64_t row_tokens) {
  Communicator& world = session.world();
  const std::shared_ptr<Memory> memory = session.make_memory();
  const Machine::Link link = measure_link(world, *memory);
  std::vector<std::unique_ptr<Runner>> runners;
  for (const Case& each : cases(world.size())) runners.push_back(std::make_unique<Runner>(each, row_tokens, session));
  std::vector<std::vector<double>> seconds(runners.size());
  for (int round = 0; round <= rounds; ++round) {  // the first warms up
    for (std::size_t i = 0; i < runners.size(); ++i) {
      const double took = runners[i]->step(world);
      if (round > 0) seconds[i].push_back(took);
    }
  }
  if (world.rank() != 0) return;
  fmt::print(
      "{} ranks of one thread, rows of {} tokens, {} rounds; {}; gathers {:.1f} GB/s, sums {:.1f} GB/s, {:.1f} us\n",
      world.size(), row_tokens, rounds, make_cpu_backend({})->description(), link.gather / 1e9, link.reduce / 1e9,
      1e6 * link.latency);
  fmt::print("{:<30} {:>24} {:>9} {:>14} {:>11} {:>9} {:>7}\n", "mesh", "step ms (least, most)", "over",
             "communicating", "by formula", "MB sent", "calls");
  const double ideal = median(seconds[0]) / world.size();
  for (std::size_t i = 0; i < runners.size(); ++i) {
    Runner& runner = *runners[i];
    const double took = median(seconds[i]);
    const auto [least, most] = std::minmax_element(seconds[i].begin(), seconds[i].end());
    const double bubble = runner.stages() == 1
                              ? 0
                              : ideal_bubble(runner.of().schedule, runner.stages(), 1, static_cast<int>(microbatches));
    const double wanted = runner.of().alone ? median(seconds[0]) : ideal / (1 - bubble);
    fmt::print("{:<30} {:>8.1f} ({:.1f}, {:.1f}) {:>7.1f} % {:>12.1f} % {:>9.1f} % {:>9.2f} {:>7}{}\n",
               runner.of().name, 1e3 * took, 1e3 * *least, 1e3 * *most, 100 * (took / wanted - 1),
               100 * median(runner.communication()) / took, 100 * seconds_by(link, runner.spent().traffic) / took,
               static_cast<double>(bytes_of(runner.spent().traffic)) / 1e6, calls_of(runner.spent().traffic),
               bubble > 0 ? fmt::format("  (its bubble of {:.1f} % taken off)", 100 * bubble) : "");
  }
}

}  // namespace
}  // namespace hearth

int main(int argc, char** argv) {
  hearth::MpiSession session;
  hearth::run(session, argc > 1 ? std::atoi(argv[1]) : 7, argc > 2 ? std::atoi(argv[2]) : 256);
  return 0;
}
