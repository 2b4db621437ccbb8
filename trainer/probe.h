// Logits, loss and gradients of given tokens: the way for anybody to hold hearth against another implementation.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "trainer/pipeline.h"
#include "trainer/rows.h"

namespace hearth {

/// What is asked: rows of ids, and what of them is wanted.
struct ProbeOptions {
  bool gradients = false;
};

struct Probed {
  std::optional<double> loss;                           // mean over the valid targets of all rows; nothing without any
  std::vector<std::vector<float>> logits;               // by row: (T, V), on the first rank only
  std::map<std::string, std::vector<float>> gradients;  // by hearth's names, on the first rank only; a tied weight once
};

/// Runs every row as a microbatch of its own, shared out over the data axis. Collective; the groups' gradients are
/// reset. REQUIRES: at least one target where gradients are asked for.
Probed probe(Pipeline& pipeline, Groups& groups, const Rows& rows, const ProbeOptions& options);

/// The logits of one row, (T, V), on the first rank only. Collective.
std::vector<float> logits_of(Pipeline& pipeline, const Rows& rows, std::int64_t row);

/// Elements of one part of every parameter, brought together on the first rank of the world, parameter by parameter in
/// the order of the model (at most one is held whole). Collective; `take` is called on the first rank only.
void collect(const Transformer& model, const Groups& groups, Mesh& mesh,
             const std::function<Tensor(const FlatGroup::Piece&)>& part,
             const std::function<void(const Parameter&, std::span<const float>)>& take);

}  // namespace hearth
