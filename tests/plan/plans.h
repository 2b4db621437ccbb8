// Models and machines that plans are tested on.
#pragma once

#include "trainer/machine.h"
#include "trainer/mesh_plan.h"

namespace hearth::test {

/// A Llama of the given sizes; heads of width / heads.
ModelConfig llama(std::int64_t width, std::int64_t hidden, std::int64_t layers, std::int64_t heads,
                  std::int64_t key_value_heads, std::int64_t vocabulary);

/// recipes/machines/NAME.yaml
Machine shipped(const std::string& name);

/// A model cut for the axes of a mesh, and what is planned of it.
struct PlannedOnMesh {
  PlannedOnMesh(const ModelConfig& config, const MeshShape& shape, std::int64_t tokens, Dtype compute = Dtype::bf16);
  /// ZeRO 0, nothing recomputed; see PlacedOptions.
  PlannedLayout layout(PipelineSchedule schedule, int chunks, int rounds) const;

  MeshShape mesh;
  Transformer model;
  PlannedModel planned;
};

}  // namespace hearth::test
