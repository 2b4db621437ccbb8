// The threads of a backend. Work is cut into pieces by shape alone and pieces go to whichever thread is free: who
// computes a piece changes no bit of it.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

namespace hearth::cpu {

inline std::int64_t ceil_divide(std::int64_t n, std::int64_t by) {
  return (n + by - 1) / by;
}

class Team {
 public:
  explicit Team(int threads) : threads_(threads) {}
  int threads() const { return threads_; }

  /// body(piece, thread) for every piece of [0, pieces). Libraries called inside run on the calling thread alone: they
  /// see a parallel region, or, where the team is one thread, a limit of one that ends with the region.
  template <class Body>
  void each(std::int64_t pieces, const Body& body) const {
    if (pieces <= 0) return;
    const int used = static_cast<int>(std::min<std::int64_t>(pieces, threads_));
#pragma omp parallel num_threads(used)
    {
      if (!omp_in_parallel()) omp_set_num_threads(1);
      const int thread = omp_get_thread_num();
#pragma omp for schedule(dynamic, 1)
      for (std::int64_t piece = 0; piece < pieces; ++piece) body(piece, thread);
    }
  }

 private:
  int threads_;
};

}  // namespace hearth::cpu
