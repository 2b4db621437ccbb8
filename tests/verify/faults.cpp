#include "verify/faults.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "verify/passing_ops.h"

namespace hearth::test {

namespace {

/// Ranks that do one thing wrong, in the same order of calls as sound ones.
class FaultyRanks final : public Communicator {
 public:
  FaultyRanks(std::unique_ptr<Communicator> inner, Fault fault, Fault of_children, int least)
      : inner_(std::move(inner)), fault_(fault), of_children_(of_children), least_(least) {}

  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }
  void barrier() override { inner_->barrier(); }
  const Traffic& traffic() const override { return inner_->traffic(); }
  std::unique_ptr<Communicator> split(int color, int key) override {
    return std::make_unique<FaultyRanks>(inner_->split(color, key), size() >= least_ ? of_children_ : Fault::none,
                                         of_children_, least_);
  }

  Ticket sum(Out in_out) override {
    if (fault_ == Fault::unsummed && in_out.dtype == Dtype::f32) return {};
    return inner_->sum(in_out);
  }

  Ticket reduce_scatter(In all, Out mine, Onto onto) override {
    const bool wrong = fault_ == Fault::missing_sum || fault_ == Fault::doubled;
    if (!wrong || all.dtype != Dtype::f32) return inner_->reduce_scatter(all, mine, onto);
    std::vector<float> held(mine.span<float>().begin(), mine.span<float>().end());
    if (onto == Onto::nothing) std::fill(held.begin(), held.end(), 0.0F);
    const Tensor own = all.row_slice(rank() * (all.rows() / size()), all.rows() / size());
    std::vector<float> added(own.span<float>().begin(), own.span<float>().end());
    if (fault_ == Fault::doubled) {
      inner_->reduce_scatter(all, Tensor(added.data(), Dtype::f32, mine.dims), Onto::nothing).wait();
      for (float& value : added) value *= 2;
    }
    std::transform(held.begin(), held.end(), added.begin(), mine.span<float>().begin(), std::plus<>());
    return {};
  }

  Ticket gather(In mine, Out all) override {
    const bool wrong = fault_ == Fault::stale || fault_ == Fault::swapped;
    if (!wrong || all.dtype != Dtype::f32) return inner_->gather(mine, all);
    const std::span<float> whole = all.span<float>();
    const auto part = static_cast<std::size_t>(mine.elements());
    const std::vector<float> before(whole.begin(), whole.end());
    const std::vector<float> own(mine.span<float>().begin(), mine.span<float>().end());
    inner_->gather(mine, all).wait();
    if (fault_ == Fault::swapped) {
      std::swap_ranges(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(part),
                       whole.begin() + static_cast<std::ptrdiff_t>(part));
    } else if (gathers_[all.data]++ > 0) {
      std::copy(before.begin(), before.end(), whole.begin());
      std::copy(own.begin(), own.end(), whole.begin() + static_cast<std::ptrdiff_t>(part) * rank());
    }
    return {};
  }

  Ticket exchange(In rows, std::span<const std::int64_t> to, Out received,
                  std::span<const std::int64_t> from) override {
    if (fault_ != Fault::wrong_neighbour) return inner_->exchange(rows, to, received, from);
    std::vector<std::int64_t> other_to(to.size(), 0);
    std::vector<std::int64_t> other_from(from.size(), 0);
    const bool alone = size() == 2;
    const auto next = static_cast<std::size_t>(alone ? rank() : (rank() + 1) % size());
    const auto before = static_cast<std::size_t>(alone ? rank() : (rank() + size() - 1) % size());
    other_to[before] = rows.rows();
    other_from[next] = received.rows();
    return inner_->exchange(rows, other_to, received, other_from);
  }

  Ticket send(In x, int to) override { return inner_->send(x, to); }
  Ticket receive(Out x, int from) override {
    if (fault_ != Fault::lost_half || x.dtype != Dtype::f32) return inner_->receive(x, from);
    return Ticket(std::make_unique<HalfLost>(inner_->receive(x, from), x));
  }

 private:
  class HalfLost final : public Ticket::Work {
   public:
    HalfLost(Ticket ticket, In x) : ticket_(std::move(ticket)), x_(x) {}
    void wait() override {
      ticket_.wait();
      const std::span<float> values = x_.span<float>();
      std::fill(values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end(), 0.0F);
    }
    void abandon() noexcept override {}

   private:
    Ticket ticket_;
    Tensor x_;
  };

  std::unique_ptr<Communicator> inner_;
  Fault fault_;
  Fault of_children_;
  int least_;
  std::map<const void*, int> gathers_;  // by place
};

/// One op that is wrong, where the fault is one of an op.
class FaultyOps final : public PassingOps {
 public:
  FaultyOps(Ops& inner, Fault fault) : PassingOps(inner), fault_(fault) {}

  void attention(In q, In k, In v, In first, In last, AttentionShape shape, Out y, Out log_sum) override {
    std::vector<std::int32_t> early = begins(first);
    PassingOps::attention(q, k, v, Tensor(early.data(), Dtype::i32, first.dims), last, shape, y, log_sum);
  }
  void attention_backward(In q, In k, In v, In first, In last, AttentionShape shape, In y, In log_sum, In dy, Out dq,
                          Out dk, Out dv) override {
    std::vector<std::int32_t> early = begins(first);
    PassingOps::attention_backward(q, k, v, Tensor(early.data(), Dtype::i32, first.dims), last, shape, y, log_sum, dy,
                                   dq, dk, dv);
  }
  void head_backward(In logits, In statistics, In targets, In weights, std::int64_t first, double smoothing,
                     std::int64_t vocabulary, Out dlogits) override {
    std::vector<float> heavy(weights.span<float>().begin(), weights.span<float>().end());
    if (fault_ == Fault::denominator) {
      for (float& weight : heavy) weight *= 1.25F;
    }
    PassingOps::head_backward(logits, statistics, targets, Tensor(heavy.data(), Dtype::f32, weights.dims), first,
                              smoothing, vocabulary, dlogits);
  }
  void adamw(In gradient, In control, const AdamW& update, Out weight, Out first_moment, Out second_moment) override {
    AdamW hasty = update;
    if (fault_ == Fault::hasty_update) hasty.rate *= 2;
    PassingOps::adamw(gradient, control, hasty, weight, first_moment, second_moment);
  }

 private:
  std::vector<std::int32_t> begins(In first) const {
    std::vector<std::int32_t> begins(first.span<std::int32_t>().begin(), first.span<std::int32_t>().end());
    if (fault_ == Fault::late_border) {
      for (std::int32_t& begin : begins) begin = std::max(0, begin - 1);
    }
    return begins;
  }
  Fault fault_;
};

class FaultyBackend final : public Backend {
 public:
  explicit FaultyBackend(Fault fault) : ops_(inner_->ops(), fault) {}
  Memory& memory() override { return inner_->memory(); }
  Ops& ops() override { return ops_; }
  std::size_t workspace_bytes(const Workload& work) override { return inner_->workspace_bytes(work); }
  std::string description() const override { return inner_->description() + ", faulty"; }

 private:
  std::unique_ptr<Backend> inner_ = make_cpu_backend({});
  FaultyOps ops_;
};

}  // namespace

std::unique_ptr<Communicator> FaultyWorld::split(int color, int key) {
  return std::make_unique<FaultyRanks>(inner_.split(color, key), size() >= least_ ? fault_ : Fault::none, fault_,
                                       least_);
}

std::unique_ptr<Backend> make_faulty_backend(Fault fault, bool wrong) {
  if (wrong) return std::make_unique<FaultyBackend>(fault);
  return make_cpu_backend({});
}

}  // namespace hearth::test
