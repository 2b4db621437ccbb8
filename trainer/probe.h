// Logits, loss and gradients of given tokens: the way for anybody to hold hearth against another implementation.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "trainer/rows.h"
#include "trainer/stage.h"

namespace hearth {

/// What is asked: rows of ids, and what of them is wanted.
struct ProbeOptions {
  bool gradients = false;
};

struct Probed {
  double loss = 0;                                      // mean over the valid targets of all rows; NaN without any
  std::vector<std::vector<float>> logits;               // by row: (T, V), on the first rank only
  std::map<std::string, std::vector<float>> gradients;  // by hearth's names, on the first rank only; a tied weight once
};

/// Runs every row as a microbatch of its own, shared out over the data axis. Collective; the groups' gradients are
/// reset.
Probed probe(Stage& stage, Groups& groups, Mesh& mesh, Memory& memory, const Rows& rows, const ProbeOptions& options);

/// Elements of one part of every parameter, brought together on the first data rank, parameter by parameter (at most
/// one is held whole). Collective; `take` is called on the first rank only.
void collect(const Groups& groups, Mesh& mesh, const std::function<Tensor(const FlatGroup::Piece&)>& part,
             const std::function<void(const Parameter&, std::span<const float>)>& take);

}  // namespace hearth
