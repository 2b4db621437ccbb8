#include "parallel/global_norm.h"

#include <algorithm>
#include <cmath>

namespace hearth {

GlobalNorm::GlobalNorm(std::vector<Member> members, int groups, Mesh& mesh, Memory& memory)
    : members_(std::move(members)), mesh_(mesh), groups_(groups) {
  for (const Member& member : members_) chunks_ += member.group->chunks();
  const auto bytes = static_cast<std::size_t>(chunks_) * sizeof(double);
  mine_ = Buffer(memory, bytes);
  all_ = Buffer(memory, bytes * static_cast<std::size_t>(mesh.sums().size()));
  by_group_ = Buffer(memory, static_cast<std::size_t>(groups) * sizeof(double));
  result_ = Buffer(memory, 2 * sizeof(double));
}

/// The sum of one group, rank after rank, whose chunks begin at `first` of each rank's.
double GlobalNorm::sum_of(const FlatGroup& group, std::int64_t first) const {
  double sum = 0;
  for (int rank = 0; rank < mesh_.sums().size(); ++rank) {
    const double* chunk = static_cast<const double*>(all_.data()) + rank * chunks_ + first;
    for (std::int64_t i = 0; i < group.chunks(); ++i) sum += chunk[i];
  }
  return sum;
}

Tensor GlobalNorm::measure() {
  const Tensor mine = mine_.tensor(Dtype::f64, {chunks_});
  std::int64_t first = 0;
  for (const Member& member : members_) {
    member.group->squared_norms(mine.row_slice(first, member.group->chunks()));
    first += member.group->chunks();
  }
  mesh_.sums().gather(mine, all_.tensor(Dtype::f64, {chunks_ * mesh_.sums().size()})).wait();

  const Tensor by_group = by_group_.tensor(Dtype::f64, {groups_});
  const auto sums = by_group.span<double>();
  std::fill(sums.begin(), sums.end(), 0.0);
  first = 0;
  for (const Member& member : members_) {
    // A tied copy's chunks are all zero: adding them changes no bit.
    sums[static_cast<std::size_t>(member.place)] += sum_of(*member.group, first);
    first += member.group->chunks();
  }
  mesh_.along(Axis::tensor).sum(by_group).wait();
  mesh_.along(Axis::pipe).sum(by_group).wait();  // zero on every stage but the group's

  const Tensor result = result_.tensor(Dtype::f64, {2});
  double total = 0;
  double culprit = -1;
  for (int i = 0; i < groups_; ++i) {
    const double sum = sums[static_cast<std::size_t>(i)];
    if (!std::isfinite(sum) && culprit < 0) culprit = i;
    total += sum;
  }
  result.span<double>()[0] = std::sqrt(total);
  result.span<double>()[1] = culprit;
  return result;
}

}  // namespace hearth
