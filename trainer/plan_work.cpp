#include "trainer/plan_work.h"

#include <algorithm>
#include <cmath>

namespace hearth {

namespace {

class Worker {
 public:
  Worker(const PlannedModel& model, const PlannedBatch& batch, const Machine& machine)
      : model_(model), batch_(batch), machine_(machine), c_(static_cast<double>(size_of(model.compute()))) {}

  BlockWork of(BlockKind kind) const;

 private:
  double T() const { return static_cast<double>(model_.tokens()); }
  double rows() const { return static_cast<double>(model_.rows()); }
  double D() const { return static_cast<double>(model_.config().width); }

  void product(Work& work, double m, double length, double n, double out_bytes) const {
    const double bytes = (m * length + length * n) * c_ + m * n * out_bytes;
    work.products +=
        machine_.op + std::max(2 * m * length * n / machine_.products.at(model_.compute()), bytes / machine_.bandwidth);
  }
  /// `passes` reads and writes of (count, columns).
  void memory(Work& work, double count, double columns, double passes) const {
    work.memory += machine_.op + passes * count * columns * c_ / machine_.bandwidth;
  }
  void linear(BlockWork& work, double in, double out, double m) const {
    product(work.forward, m, in, out, c_);
    product(work.backward, m, out, in, c_);
    product(work.contract, out, m, in, 2 * sizeof(float));  // added to, in f32
  }
  void rows_gathered(Work& work) const {
    work.tensor += gather_seconds(machine_, rows() * D() * c_, model_.axes().tensor, 1);
  }
  void rows_summed(Work& work) const {
    work.tensor += reduce_seconds(machine_, rows() * D() * c_, model_.axes().tensor, 1);
  }
  void attend(BlockWork& work) const;
  void attention(BlockWork& work) const;
  void mlp(BlockWork& work) const;
  void head(BlockWork& work) const;

  const PlannedModel& model_;
  const PlannedBatch& batch_;
  const Machine& machine_;
  double c_;  // bytes of an element
};

/// Scores and what they weigh: each of this rank's queries sees half of its row on average, or what the window leaves.
void Worker::attend(BlockWork& work) const {
  const auto S = static_cast<double>(batch_.row_tokens);
  const auto window = static_cast<double>(model_.config().window);
  const double seen = window > 0 && window < S ? window * (1 - window / (2 * S)) : S / 2;
  const double pairs = T() * seen;
  const double width = static_cast<double>(model_.query_heads() * model_.config().head_width);
  const Machine::Attention& rate = machine_.attention.at(model_.compute());
  const double length = std::min(S, 2 * seen) / model_.axes().context;
  const double forward = 4 * pairs * width * (1 + rate.half_forward / length) / rate.forward;
  const double backward = 10 * pairs * width * (1 + rate.half_backward / length) / rate.backward;
  work.forward.attention += machine_.op + forward;
  work.backward.attention += machine_.op + backward;
  const int ring = model_.axes().context;
  if (ring == 1) return;
  // Keys and values go on to the next rank while those that are here are attended to; in backward the sums of their
  // gradients follow them, and go home at the end.
  const double keys = 2 * T() * static_cast<double>(model_.key_value_heads() * model_.config().head_width);
  const auto message = [&](double bytes) {
    return message_seconds(machine_, bytes, model_.axes().tensor * (ring - 1));
  };
  const auto exposed = [&](double bytes, double meanwhile) {
    const double there = message(bytes);
    return (ring - 1) * (machine_.hides_gathers ? std::max(0.0, there - meanwhile / ring) : there);
  };
  work.forward.context += exposed(keys * c_, forward);
  work.backward.context += exposed(keys * (c_ + sizeof(float)), backward) + message(keys * sizeof(float));
  const double wide = sizeof(float) / c_;
  memory(work.forward, T(), width, 3 * wide * (ring - 1) + wide + 1);  // shares are added up in f32, and rounded
  memory(work.backward, 1, keys, 4 * wide * ring + wide + 1);
}

void Worker::attention(BlockWork& work) const {
  const double nH = static_cast<double>(model_.query_heads() * model_.config().head_width);
  const double kH = static_cast<double>(model_.key_value_heads() * model_.config().head_width);
  memory(work.forward, rows(), D(), 2);  // norm
  rows_gathered(work.forward);
  for (const double out : {nH, kH, kH}) linear(work, D(), out, T());
  const double turned = model_.config().query_key_norm ? 2 : 1;  // norm and rotation, or rotation alone
  memory(work.forward, T(), nH + kH, 2 * turned);
  attend(work);
  linear(work, nH, D(), T());
  memory(work.forward, rows(), D(), 2);  // the residual
  rows_summed(work.forward);

  rows_gathered(work.backward);
  memory(work.backward, T(), nH + kH, 2 * turned + 2);  // zeros, rotation
  memory(work.backward, rows(), D(), 10);               // norm again, x_hat, gain, its adjoint
  rows_gathered(work.backward);
  rows_summed(work.backward);
}

void Worker::mlp(BlockWork& work) const {
  const auto f = static_cast<double>(model_.hidden());
  memory(work.forward, rows(), D(), 2);
  rows_gathered(work.forward);
  for (int i = 0; i < 2; ++i) linear(work, D(), f, T());
  memory(work.forward, T(), f, 3);
  linear(work, f, D(), T());
  memory(work.forward, rows(), D(), 2);
  rows_summed(work.forward);

  rows_gathered(work.backward);
  memory(work.backward, T(), f, 3 + 5);  // activation again, its adjoint
  memory(work.backward, rows(), D(), 10);
  rows_gathered(work.backward);
  rows_summed(work.backward);
}

/// Forward and backward in one, which nothing is put off of.
void Worker::head(BlockWork& work) const {
  const auto v = static_cast<double>(model_.vocabulary());
  rows_gathered(work.backward);
  product(work.backward, T(), D(), v, sizeof(float));
  work.backward.memory += T() * v * (2 * sizeof(float) + c_) / machine_.bandwidth;  // softmax, its gradient
  product(work.backward, v, T(), D(), 2 * sizeof(float));
  product(work.backward, T(), v, D(), c_);
  const double chunks = std::ceil(T() / static_cast<double>(Head::chunk));
  work.backward.products += 3 * (chunks - 1) * machine_.op;
  if (model_.axes().tensor > 1) {
    const double statistics = static_cast<double>(Head::chunk * head_statistics_columns) * sizeof(float);
    work.backward.tensor += chunks * gather_seconds(machine_, statistics, model_.axes().tensor, 1);
  }
  rows_summed(work.backward);
}

BlockWork Worker::of(BlockKind kind) const {
  BlockWork work;
  switch (kind) {
    case BlockKind::embedding:
      memory(work.forward, T(), D(), 2);
      rows_summed(work.forward);
      rows_gathered(work.backward);
      memory(work.contract, T(), D(), 1 + 2 * sizeof(float) / c_);
      break;
    case BlockKind::attention:
      attention(work);
      break;
    case BlockKind::mlp:
      mlp(work);
      break;
    case BlockKind::final_norm:
      memory(work.forward, rows(), D(), 2);
      memory(work.backward, rows(), D(), 10);
      break;
    case BlockKind::head:
      head(work);
      break;
  }
  return work;
}

}  // namespace

BlockWork block_work(BlockKind kind, const PlannedModel& model, const PlannedBatch& batch, const Machine& machine) {
  return Worker(model, batch, machine).of(kind);
}

}  // namespace hearth
