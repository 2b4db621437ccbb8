// Every case on every backend against the truth, between guard zones, with any number of threads.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "kernels/backend.h"
#include "kernels/cases.h"
#include "kernels/guarded.h"
#include "kernels/table.h"

namespace hearth::test {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

Dtype dtype_of(const Arg& arg, Dtype real, bool truth) {
  switch (arg.kind) {
    case Arg::Kind::real:
      return truth ? Dtype::f64 : real;
    case Arg::Kind::wide:
      return truth ? Dtype::f64 : Dtype::f32;
    case Arg::Kind::single:
      return truth && arg.use != Arg::Use::input ? Dtype::f64 : Dtype::f32;
    case Arg::Kind::precise:
      return Dtype::f64;
    case Arg::Kind::integer:
      return Dtype::i32;
  }
  return Dtype::f32;
}

// The arguments of a case in memory: outputs poisoned or set, inputs rounded as `real` stores them also for the truth.
class Instance {
 public:
  Instance(const Case& of, Dtype real, std::int64_t gap, bool truth) : case_(of) {
    memory_.reserve(of.args.size());
    for (const Arg& arg : of.args) {
      if (arg.over_arg >= 0) {
        tensors_.push_back(tensors_[static_cast<std::size_t>(arg.over_arg)]);
        memory_.emplace_back(Dtype::f32, Dims{0});
        continue;
      }
      memory_.emplace_back(dtype_of(arg, real, truth), arg.dims, arg.dims.count > 1 ? gap : 0);
      std::vector<double> values(static_cast<std::size_t>(arg.dims.elements()), nan);
      if (arg.use != Arg::Use::over) {
        values = arg.values;
        for (double& value : values) value = rounded(value, dtype_of(arg, real, false));
      }
      memory_.back().set(values);
      tensors_.push_back(memory_.back().tensor());
    }
    for (std::size_t i = 0; i < of.args.size(); ++i) before_.push_back(memory_[i].bytes());
  }

  void on(Backend& backend) { case_.call(backend.ops(), tensors_); }

  const Guarded& of(std::size_t arg) const {
    const int lies_over = case_.args[arg].over_arg;
    return memory_[lies_over >= 0 ? static_cast<std::size_t>(lies_over) : arg];
  }
  Dtype dtype(std::size_t arg) const { return tensors_[arg].dtype; }

  void expect_harmless() const {
    std::set<int> written;
    for (const Arg& arg : case_.args) written.insert(arg.over_arg);
    for (std::size_t i = 0; i < memory_.size(); ++i) {
      EXPECT_TRUE(memory_[i].untouched()) << "argument " << i << ": a guard zone was written to";
      const bool input = case_.args[i].use == Arg::Use::input && !written.contains(static_cast<int>(i));
      EXPECT_TRUE(!input || memory_[i].bytes() == before_[i]) << "argument " << i << " is an input and was written to";
    }
  }

 private:
  const Case& case_;
  std::vector<Guarded> memory_;
  std::vector<Tensor> tensors_;
  std::vector<std::vector<std::byte>> before_;
};

void expect_close(const Case& of, const Instance& run, const Instance& truth) {
  for (std::size_t i = 0; i < of.args.size(); ++i) {
    if (of.args[i].use == Arg::Use::input) continue;
    const std::vector<double> found = run.of(i).values();
    const std::vector<double> wanted = truth.of(i).values();
    const double sums = of.args[i].kind == Arg::Kind::precise ? roundoff(Dtype::f64) : roundoff(Dtype::f32);
    for (std::size_t j = 0; j < wanted.size(); ++j) {
      if (found[j] == wanted[j]) continue;
      const double allowed =
          roundoff(run.dtype(i)) * std::abs(wanted[j]) + 8 * sums * (of.args[i].terms + std::abs(wanted[j]));
      ASSERT_LE(std::abs(found[j] - wanted[j]), allowed)
          << "argument " << i << ", element " << j << ": " << found[j] << " where " << wanted[j] << " is right";
    }
  }
}

struct Target {
  std::string name;
  std::unique_ptr<Backend> backend;
};

std::unique_ptr<Backend> cpu(int threads, Bf16Products products = Bf16Products::widened, Isa isa = Isa::best) {
  return make_cpu_backend({.threads = threads, .bf16_products = products, .isa = isa});
}

// Null where the machine cannot do it, which BackendTest.NativeProductsAreRefusedByName holds.
std::unique_ptr<Backend> or_none(int threads, Bf16Products products, Isa isa) {
  try {
    return cpu(threads, products, isa);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Kind::machine);
    return nullptr;
  }
}

std::vector<Target> targets() {
  std::vector<Target> all;
  all.push_back({"plain", make_plain_backend()});
  all.push_back({"sse41", cpu(2, Bf16Products::widened, Isa::sse41)});
  all.push_back({"avx2", or_none(2, Bf16Products::widened, Isa::avx2)});
  all.push_back({"avx512", or_none(2, Bf16Products::widened, Isa::avx512)});
  all.push_back({"native", or_none(2, Bf16Products::native, Isa::best)});
  std::erase_if(all, [](const Target& target) { return target.backend == nullptr; });
  return all;
}

class EveryOp : public testing::TestWithParam<Case> {};

TEST_P(EveryOp, IsCloseToTheTruthAndWritesNothingElse) {
  const Case& of = GetParam();
  const auto truth_backend = make_plain_backend();
  for (const Dtype real : {Dtype::f32, Dtype::bf16}) {
    Instance truth(of, real, 0, true);
    truth.on(*truth_backend);
    for (Target& target : targets()) {
      for (const std::int64_t gap : {0, 3}) {
        SCOPED_TRACE(target.name + " " + std::string(name_of(real)) + " gap " + std::to_string(gap));
        Instance run(of, real, gap, false);
        run.on(*target.backend);
        run.expect_harmless();
        expect_close(of, run, truth);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_P(EveryOp, HasTheSameBitsForAnyNumberOfThreads) {
  const Case& of = GetParam();
  if (!of.large) return;
  for (const Bf16Products products : {Bf16Products::widened, Bf16Products::native}) {
    for (const Dtype real : {Dtype::f32, Dtype::bf16}) {
      std::vector<Instance> runs;
      runs.reserve(4);
      for (const int threads : {1, 2, 3, 3}) {
        const auto backend = or_none(threads, products, Isa::best);
        if (!backend) continue;
        runs.emplace_back(of, real, 0, false);
        runs.back().on(*backend);
      }
      for (std::size_t run = 1; run < runs.size(); ++run) {
        for (std::size_t i = 0; i < of.args.size(); ++i) {
          EXPECT_EQ(runs[0].of(i).bytes(), runs[run].of(i).bytes()) << name_of(real) << ", argument " << i;
        }
      }
    }
  }
}

TEST_P(EveryOp, AllocatesNothingTheSecondTime) {
  const Case& of = GetParam();
  const auto backend = cpu(2);
  Instance(of, Dtype::bf16, 0, false).on(*backend);
  const std::uint64_t takes = backend->memory().takes();
  Instance(of, Dtype::bf16, 0, false).on(*backend);
  EXPECT_EQ(backend->memory().takes(), takes);
}

INSTANTIATE_TEST_SUITE_P(Kernels, EveryOp, testing::ValuesIn(cases()),
                         [](const auto& one) { return one.param.op + "_" + std::to_string(one.index); });

TEST(Coverage, EveryOpHasACaseAndALargeOne) {
  std::set<std::string> with_case, with_large;
  for (const Case& one : cases()) {
    with_case.insert(one.op);
    if (one.large) with_large.insert(one.op);
  }
  EXPECT_EQ(with_case, ops_of_the_table());
  EXPECT_EQ(with_large, ops_of_the_table());
}

}  // namespace

std::set<std::string> ops_in_header() {
  return ops_of_the_table();
}

std::ostream& operator<<(std::ostream& out, const Case& one) {
  return out << one.op << " " << one.shape;
}

}  // namespace hearth::test
