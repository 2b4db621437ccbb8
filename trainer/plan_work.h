// What one microbatch of one block takes on a machine, in parts.
#pragma once

#include "trainer/plan_time.h"

namespace hearth {

/// Seconds of one kind of work.
struct Work {
  double products = 0;
  double attention = 0;
  double memory = 0;
  double tensor = 0;
  double context = 0;
  double computing() const { return products + attention + memory; }
  double sum() const { return computing() + tensor + context; }
  Work& operator+=(const Work& more) {
    products += more.products;
    attention += more.attention;
    memory += more.memory;
    tensor += more.tensor;
    context += more.context;
    return *this;
  }
};

/// One microbatch of a block: its forward, its backward without and with weight gradients.
struct BlockWork {
  Work forward, backward, contract;
};

/// Forward, backward and contractions of a kind of block; the head's forward is in its backward.
BlockWork block_work(BlockKind kind, const PlannedModel& model, const PlannedBatch& batch, const Machine& machine);

}  // namespace hearth
