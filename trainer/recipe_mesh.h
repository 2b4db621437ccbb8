// The mesh that a recipe asks for, held against the ranks that there are and the model that is to run on it.
#pragma once

#include "model/config.h"
#include "parallel/mesh.h"
#include "parallel/schedule.h"
#include "trainer/model_on_mesh.h"
#include "trainer/recipe.h"

namespace hearth {

/// The sizes of the axes on `ranks` ranks: the data axis is what the others leave. Throws Kind::usage naming key, value
/// and ranks, and the nearest numbers of ranks that work.
MeshShape mesh_shape(const Recipe& recipe, int ranks);
/// The same, held against the model: see check_model.
MeshShape mesh_shape(const Recipe& recipe, const ModelConfig& config, int ranks);
/// Whether the ranks that sum (data x context) can be cut into shards of that many. Throws Kind::usage with the nearest
/// sizes that can.
void check_shards(const MeshShape& shape, std::int64_t shard);
/// One stage alone has nothing to schedule: 1f1b with one chunk, whatever the recipe says of longer pipelines.
PipelineSchedule schedule_kind(const Recipe& recipe);
/// Chunks of each stage of the pipeline.
int chunks_of(const Recipe& recipe);
/// Both on so many stages, whatever the recipe says of their number.
PipelineSchedule schedule_kind(const Recipe& recipe, int stages);
int chunks_of(const Recipe& recipe, int stages);
/// The ZeRO stage on that many ranks that sum (data x context).
int zero_stage(const Recipe& recipe, int ranks);

/// Whether a model can be cut so: query heads divide, key-value heads divide or are held by equally many ranks each,
/// and every stage has a block. Hidden width and vocabulary need not divide. Throws Kind::usage naming key and values,
/// and the nearest sizes that work.
void check_model(const ModelConfig& config, const MeshShape& shape, int chunks = 1);
/// Whether stages and chunks suit the schedule, whatever the ranks and the microbatches. Throws Kind::usage.
void check_chunks(const Recipe& recipe);
/// The same, and whether the microbatches of a step do. Throws Kind::usage with the nearest numbers that do.
void check_schedule(const Recipe& recipe, const MeshShape& shape, std::int64_t microbatches);

}  // namespace hearth
