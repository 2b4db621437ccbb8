#include "trainer/verify.h"

#include <algorithm>

#include "trainer/run_resume.h"
#include "trainer/together_of.h"

namespace hearth {

namespace {

/// The runs of one `verify`, and the oracles that they are held to.
class Verification {
 public:
  Verification(const VerifyPlan& plan, Communicator& world, Backend& backend)
      : plan_(plan), world_(world), backend_(backend) {}

  /// The whole mesh against one rank.
  std::vector<VerifyCheck> check(Dtype dtype) {
    dtype_ = dtype;
    return compare(plan_, world_, true);
  }
  /// Of the last dtype: whether some of the axes, each line or plane of ranks by itself, fail.
  bool fails_along(const std::vector<Axis>& axes) {
    Mesh mesh(world_, plan_.mesh);
    const VerifyPlan some = on_axes(plan_, axes);
    const int plane = outside(axes);
    if (axes.size() == 1) return fails(some, mesh.along(axes[0]), plane == 0);
    return fails(some, *world_.split(plane, world_.rank()), plane == 0);
  }

 private:
  /// `first`: whether these ranks are the ones among which the job's first rank is. Where no bits are promised, the oracle
  /// takes the weights that they came to, so that its second step's gradients are of the same weights.
  std::vector<VerifyCheck> compare(const VerifyPlan& plan, Communicator& ranks, bool first) {
    const VerifyResult mine = verify_run(plan, dtype_, ranks, backend_);
    const VerifyBounds bounds = verify_bounds(plan, dtype_);
    VerifyPath path;
    if (!bounds.to_the_bit) path = path_of(mine, first, world_);
    VerifyOracle oracle;
    if (world_.rank() == 0) {
      const auto alone = make_self_communicator();
      oracle = oracle_of(verify_run(on_axes(plan_, {}), dtype_, *alone, backend_, bounds.to_the_bit ? nullptr : &path));
    }
    return verify_compare(oracle, mine, bounds, dtype_, world_);
  }
  bool fails(const VerifyPlan& plan, Communicator& ranks, bool first) {
    const std::vector<VerifyCheck> checks = compare(plan, ranks, first);
    return !std::all_of(checks.begin(), checks.end(), [](const VerifyCheck& check) { return check.good(); });
  }
  /// This rank's place along all axes but these, as one number.
  int outside(const std::vector<Axis>& axes) const {
    int color = 0;
    int stride = world_.size();
    for (const Axis axis : {Axis::pipe, Axis::data, Axis::context, Axis::tensor}) {
      const int size = size_of(plan_.mesh, axis);
      stride /= size;
      const int place = world_.rank() / stride % size;
      const bool inside = std::find(axes.begin(), axes.end(), axis) != axes.end();
      color = color * size + (inside ? 0 : place);
    }
    return color;
  }

  const VerifyPlan& plan_;
  Communicator& world_;
  Backend& backend_;
  Dtype dtype_ = Dtype::f32;
};

std::string pair_text(Axis one, Axis other) {
  return fmt::format("{} x {}", name_of(one), name_of(other));
}

/// Which axes fail by themselves; if none does, which pairs.
std::vector<std::string> culprits(Verification& verification, const MeshShape& shape) {
  const std::vector<Axis> axes = axes_of(shape);
  if (axes.size() == 1) return {name_of(axes[0])};
  std::vector<std::string> names;
  for (const Axis axis : axes) {
    if (verification.fails_along({axis})) names.emplace_back(name_of(axis));
  }
  if (!names.empty()) return names;
  if (axes.size() == 2) return {pair_text(axes[0], axes[1])};  // the whole mesh, which has failed
  for (std::size_t i = 0; i < axes.size(); ++i) {
    for (std::size_t j = i + 1; j < axes.size(); ++j) {
      if (verification.fails_along({axes[i], axes[j]})) {
        names.push_back(pair_text(axes[i], axes[j]));
      }
    }
  }
  return names;
}

bool is_number(const VerifyCheck& check) {
  return check.parameter.empty();
}

}  // namespace

bool VerifyReport::good() const {
  return worst() == nullptr;
}

const VerifyCheck* VerifyReport::worst() const {
  const VerifyCheck* first = nullptr;
  for (const VerifyCheck& check : checks) {
    if (check.good()) continue;
    if (first == nullptr || (is_number(*first) && !is_number(check))) first = &check;
  }
  return first;
}

VerifyReport verify(const Recipe& recipe, const ModelConfig& config, Communicator& world,
                    const MakeDevice& make_device) {
  VerifyReport report;
  report.ranks = world.size();
  all_or_none(together_of(world), [&] { report.plan = verify_plan(recipe, config, world.size()); });
  const VerifyDevice device = make_device();
  report.note = note_of_kinds(together_of(world), device.kind);
  report.plan.one_kind = report.note.empty();
  Verification verification(report.plan, world, *device.backend);
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    if (dtype != Dtype::f32 && dtype != report.plan.dtype) continue;
    report.bounds.push_back(verify_bounds(report.plan, dtype));
    const std::vector<VerifyCheck> checks = verification.check(dtype);
    report.checks.insert(report.checks.end(), checks.begin(), checks.end());
    if (report.good()) continue;
    report.axes = culprits(verification, report.plan.mesh);
    break;  // what is wrong in f32 is wrong in bf16
  }
  return report;
}

}  // namespace hearth
