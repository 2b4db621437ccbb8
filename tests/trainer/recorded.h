// What a rank does, written down in order: ops of blocks, and operations of its communicators. Decorators for tests.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/ops.h"
#include "parallel/communicator.h"

namespace hearth::test {

/// One line an event: "gather 1024" (elements of the whole), "reduce_scatter 1024", "compute". Equal neighbours that
/// are "compute" count once.
class Journal {
 public:
  void add(std::string event) {
    if (event == "compute" && !events_.empty() && events_.back() == event) return;
    events_.push_back(std::move(event));
  }
  void clear() { events_.clear(); }
  const std::vector<std::string>& events() const { return events_; }

 private:
  std::vector<std::string> events_;
};

/// Passes everything on. What is split off it is recorded too.
class RecordedCommunicator final : public Communicator {
 public:
  RecordedCommunicator(Communicator& inner, Journal& journal) : inner_(&inner), journal_(journal) {}
  RecordedCommunicator(std::unique_ptr<Communicator> owned, Journal& journal)
      : owned_(std::move(owned)), inner_(owned_.get()), journal_(journal) {}

  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }
  Ticket sum(Out in_out) override { return inner_->sum(in_out); }
  Ticket gather(In mine, Out all) override {
    journal_.add("gather " + std::to_string(all.elements()));
    return inner_->gather(mine, all);
  }
  Ticket reduce_scatter(In all, Out mine, Onto onto) override {
    journal_.add("reduce_scatter " + std::to_string(all.elements()));
    return inner_->reduce_scatter(all, mine, onto);
  }
  Ticket exchange(In rows, std::span<const std::int64_t> to, Out received,
                  std::span<const std::int64_t> from) override {
    return inner_->exchange(rows, to, received, from);
  }
  Ticket send(In x, int to) override { return inner_->send(x, to); }
  Ticket receive(Out x, int from) override { return inner_->receive(x, from); }
  void barrier() override { inner_->barrier(); }
  std::unique_ptr<Communicator> split(int color, int key) override {
    return std::make_unique<RecordedCommunicator>(inner_->split(color, key), journal_);
  }
  const Traffic& traffic() const override { return inner_->traffic(); }

 private:
  std::unique_ptr<Communicator> owned_;
  Communicator* inner_;
  Journal& journal_;
};

/// Passes everything on. Each op that only a block asks for is "compute"; fills, casts and sums are nobody's alone.
class RecordedOps final : public Ops {
 public:
  RecordedOps(Ops& inner, Journal& journal) : inner_(inner), journal_(journal) {}

  void fill(double value, Out y) override { inner_.fill(value, y); }
  void cast(In x, Out y) override { inner_.cast(x, y); }
  void add(In x, Out y) override { inner_.add(x, y); }
  void sum(In a, In b, Out y) override { inner_.sum(a, b, y); }
  void scale(double factor, Out y) override { inner_.scale(factor, y); }
  void matmul(In a, Turn turn_a, In b, Turn turn_b, double scale, Write write, Out y) override {
    computing().matmul(a, turn_a, b, turn_b, scale, write, y);
  }
  void add_bias(In bias, Out y) override { computing().add_bias(bias, y); }
  void bias_backward(In dy, double scale, Out db) override { computing().bias_backward(dy, scale, db); }
  void embedding(In tokens, In table, std::int64_t first, Out y) override {
    computing().embedding(tokens, table, first, y);
  }
  void embedding_backward(In tokens, In dy, std::int64_t first, Out dtable) override {
    computing().embedding_backward(tokens, dy, first, dtable);
  }
  void rms_norm(In x, In gain, double epsilon, Out y, Out inverse_rms) override {
    computing().rms_norm(x, gain, epsilon, y, inverse_rms);
  }
  void rms_norm_backward(In x, In gain, In inverse_rms, In dy, Out dx) override {
    computing().rms_norm_backward(x, gain, inverse_rms, dy, dx);
  }
  void rms_normalize(In x, In inverse_rms, Out x_hat) override { computing().rms_normalize(x, inverse_rms, x_hat); }
  void gain_backward(In x_hat, In dy, Out dgain) override { computing().gain_backward(x_hat, dy, dgain); }
  void rotary_table(In positions, In frequencies, double factor, Out cosine, Out sine) override {
    inner_.rotary_table(positions, frequencies, factor, cosine, sine);  // of the batch
  }
  void rotate(In x, In cosine, In sine, Turn back, Out y) override { computing().rotate(x, cosine, sine, back, y); }
  void attention(In q, In k, In v, In first, In last, AttentionShape shape, Out y, Out log_sum) override {
    computing().attention(q, k, v, first, last, shape, y, log_sum);
  }
  void attention_merge(In part, In part_log_sum, Out y, Out log_sum) override {
    computing().attention_merge(part, part_log_sum, y, log_sum);
  }
  void attention_backward(In q, In k, In v, In first, In last, AttentionShape shape, In y, In log_sum, In dy, Out dq,
                          Out dk, Out dv) override {
    computing().attention_backward(q, k, v, first, last, shape, y, log_sum, dy, dq, dk, dv);
  }
  void swiglu(In gate, In up, Out y) override { computing().swiglu(gate, up, y); }
  void swiglu_backward(In gate, In up, In dy, Out dgate, Out dup) override {
    computing().swiglu_backward(gate, up, dy, dgate, dup);
  }
  void head_statistics(In logits, In targets, std::int64_t first, Out statistics) override {
    computing().head_statistics(logits, targets, first, statistics);
  }
  void head_fold(In pieces, Out statistics) override { computing().head_fold(pieces, statistics); }
  void head_losses(In statistics, In targets, double smoothing, std::int64_t vocabulary, Out losses) override {
    computing().head_losses(statistics, targets, smoothing, vocabulary, losses);
  }
  void head_backward(In logits, In statistics, In targets, In weights, std::int64_t first, double smoothing,
                     std::int64_t vocabulary, Out dlogits) override {
    computing().head_backward(logits, statistics, targets, weights, first, smoothing, vocabulary, dlogits);
  }
  void squared_norm(In x, Out sums) override { inner_.squared_norm(x, sums); }
  void adamw(In gradient, In control, const AdamW& update, Out weight, Out first_moment, Out second_moment) override {
    inner_.adamw(gradient, control, update, weight, first_moment, second_moment);
  }

 private:
  Ops& computing() {
    journal_.add("compute");
    return inner_;
  }

  Ops& inner_;
  Journal& journal_;
};

}  // namespace hearth::test
