#include "verify/verify_run.h"

#include <mutex>

#include "parallel/thread_world.h"

namespace hearth::test {

ModelConfig real_config(const std::string& family) {
  ModelConfig config;
  config.vocabulary = 32003;
  config.width = 512;
  config.hidden = 1407;
  config.layers = 24;
  config.heads = 8;
  config.key_value_heads = 2;
  config.head_width = 64;
  config.max_positions = 4096;
  config.norm_epsilon = 1e-5F;
  if (family == "llama") {
    config.tied = true;
    config.rope = {.kind = Rope::Kind::llama3, .theta = 500000, .factor = 8, .original_max_positions = 1024};
  } else if (family == "qwen2") {
    config.architecture = Architecture::qwen2;
    config.attention_bias = true;
    config.rope.theta = 1e6;
    config.vocabulary = 32000;
  } else if (family == "qwen3") {
    config.architecture = Architecture::qwen3;
    config.query_key_norm = true;
    config.tied = true;
    config.rope.theta = 1e6;
  } else {
    require(family == "mistral", "a family of these tests");
    config.architecture = Architecture::mistral;
    config.window = 1024;
    config.hidden = 1408;
  }
  return config;
}

std::vector<std::string> families() {
  return {"llama", "qwen2", "qwen3", "mistral"};
}

Recipe recipe_of(const Wish& wish) {
  Recipe recipe;
  recipe.parallel.pipeline_parallel_size = wish.mesh.pipe;
  recipe.parallel.context_parallel_size = wish.mesh.context;
  recipe.parallel.tensor_parallel_size = wish.mesh.tensor;
  if (wish.mesh.shard > 0) recipe.parallel.data_shard_size = wish.mesh.shard;
  recipe.parallel.zero_stage = wish.zero_stage;
  recipe.parallel.pipeline_schedule = wish.schedule;
  recipe.train.per_device_train_batch_size = wish.microbatch_rows;
  recipe.train.gradient_accumulation_steps = wish.accumulation;
  recipe.train.gradient_checkpointing = wish.recompute;
  recipe.train.dtype = wish.dtype;
  recipe.train.label_smoothing_factor = wish.smoothing;
  recipe.train.sum_order = wish.order;
  recipe.train.weight_decay = 0.1;
  recipe.train.adam_beta2 = wish.beta2;
  recipe.train.adam_epsilon = wish.epsilon;
  recipe.train.max_grad_norm = wish.max_norm;
  return recipe;
}

VerifyReport verified(const Wish& wish, const std::string& family, Fault fault, int least, int wrong) {
  return verified(wish, real_config(family), fault, least, wrong);
}

VerifyReport verified(const Wish& wish, const ModelConfig& config, Fault fault, int least, int wrong) {
  VerifyReport first;
  std::vector<std::string> texts;
  std::mutex mutex;
  ThreadWorld(wish.mesh.ranks()).run([&](Communicator& ranks) {
    FaultyWorld world(ranks, fault, least);
    const VerifyReport report =
        verify(recipe_of(wish), config, world, [&] { return make_faulty_backend(fault, world.rank() == wrong); });
    const std::lock_guard lock(mutex);
    texts.push_back(verify_json(report, "recipe"));
    if (world.rank() == 0) first = report;
  });
  for (const std::string& text : texts) require(text == texts.front(), "every rank has the same report");
  return first;
}

}  // namespace hearth::test
