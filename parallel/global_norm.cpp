#include "parallel/global_norm.h"

#include <cmath>

namespace hearth {

GlobalNorm::GlobalNorm(std::vector<const FlatGroup*> groups, Communicator& shard, Memory& memory)
    : groups_(std::move(groups)), shard_(shard) {
  for (const FlatGroup* group : groups_) chunks_ += group->chunks();
  const auto bytes = static_cast<std::size_t>(chunks_) * sizeof(double);
  mine_ = Buffer(memory, bytes);
  all_ = Buffer(memory, bytes * static_cast<std::size_t>(shard.size()));
  result_ = Buffer(memory, 2 * sizeof(double));
}

/// The sum of one group, rank after rank, whose chunks begin at `first` of each rank's.
double GlobalNorm::sum_of(std::size_t group, std::int64_t first) const {
  double sum = 0;
  for (int rank = 0; rank < shard_.size(); ++rank) {
    const double* chunk = static_cast<const double*>(all_.data()) + rank * chunks_ + first;
    for (std::int64_t i = 0; i < groups_[group]->chunks(); ++i) sum += chunk[i];
  }
  return sum;
}

Tensor GlobalNorm::measure() {
  const Tensor mine = mine_.tensor(Dtype::f64, {chunks_});
  std::int64_t first = 0;
  for (const FlatGroup* group : groups_) {
    group->squared_norms(mine.row_slice(first, group->chunks()));
    first += group->chunks();
  }
  shard_.gather(mine, all_.tensor(Dtype::f64, {chunks_ * shard_.size()})).wait();

  const Tensor result = result_.tensor(Dtype::f64, {2});
  double total = 0;
  double culprit = -1;
  first = 0;
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    const double sum = sum_of(i, first);
    if (!std::isfinite(sum) && culprit < 0) culprit = static_cast<double>(i);
    total += sum;
    first += groups_[i]->chunks();
  }
  result.span<double>()[0] = std::sqrt(total);
  result.span<double>()[1] = culprit;
  return result;
}

}  // namespace hearth
