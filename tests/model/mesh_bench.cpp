#include "model/mesh_bench.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/backend.h"
#include "model/block_bench.h"
#include "model/head.h"
#include "model/sinks.h"
#include "model/statistics.h"
#include "model/tensor_axis.h"
#include "parallel/thread_world.h"

namespace hearth::test {

namespace {

double as_stored(double value, Dtype dtype) {
  if (dtype == Dtype::f64) return value;
  const auto single = static_cast<float>(value);
  return static_cast<double>(dtype == Dtype::bf16 ? static_cast<float>(Bf16(single)) : single);
}

std::vector<double> noise(const std::string& name, std::int64_t elements, double spread, Dtype dtype) {
  const Key key = Key(5).with(name);
  std::vector<double> values;
  for (std::int64_t i = 0; i < elements; ++i) {
    values.push_back(as_stored(spread * key.normal(static_cast<std::uint64_t>(i)), dtype));
  }
  return values;
}

std::vector<double> whole_weight(const Parameter& parameter, Dtype dtype) {
  const Dims& full = parameter.full;
  const double spread = full.count == 1 ? 0.5 : 1 / std::sqrt(static_cast<double>(full[1]));
  return noise(parameter.name, full.elements(), spread, dtype);
}

/// One rank: its share of everything, and where its results go.
class Member {
 public:
  Member(const Chain& chain, const Documents& documents, const MeshRun& how, Communicator& world)
      : how_(how),
        blocks_(chain.blocks(how.axes)),
        width_(chain.width),
        backend_(how.plain ? make_plain_backend() : make_cpu_backend({.threads = 1})),
        tensor_(world.split(world.rank() / how.axes.tensor, world.rank())),
        context_(world.split(world.rank() % how.axes.tensor, world.rank())),
        alone_(make_self_communicator()),
        kept_(kept_bytes_),
        maker_(rotary(chain.head_width), static_cast<std::int64_t>(documents.tokens.size()) / how.axes.context,
               how.compute, backend_->ops(), backend_->memory(), {context_->rank(), how.axes.context, chain.window}),
        batch_(maker_.make(documents)) {
    const auto total = static_cast<std::int64_t>(documents.tokens.size());
    for (const Interval& stretch : context_rows(total, context_->rank(), how.axes.context)) {
      for (std::int64_t row = stretch.begin; row < stretch.end; ++row) rows_.push_back(row);
    }
    const std::size_t own = rows_.size() / static_cast<std::size_t>(how.axes.tensor);
    const auto first = rows_.begin() + static_cast<std::ptrdiff_t>(own) * tensor_->rank();
    own_rows_.assign(first, first + static_cast<std::ptrdiff_t>(own));
    for (const auto& block : blocks_) {
      auto& weights = weights_.emplace_back();
      auto& gradients = gradients_.emplace_back();
      for (const Parameter& parameter : block->parameters()) {
        weights.push_back(piece(parameter));
        gradients.push_back(zeros(statistics_of(how.compute), piece_dims(parameter)));
      }
    }
  }

  void work() {
    std::vector<std::unique_ptr<Activations>> kept;
    x_ = {has_tokens() ? batch_.tokens : share("x")};
    for (int i = 0; i < ordinary(); ++i) {
      kept.push_back(block(i).activations(shape(), how_.compute, kept_));
      x_.push_back(forward(i, *kept.back()));
      if (how_.recompute) kept.back()->shed();
    }
    if (has_head()) {
      run_head();
    } else {
      dx_ = share("dy");
    }
    for (int i = ordinary() - 1; i >= 0; --i) {
      const auto at = static_cast<std::size_t>(i);
      if (how_.recompute) forward(i, *kept[at]);
      AccumulatingSink sink(backend_->ops(), gradients_[at]);
      fresh_scratch();
      Pass pass = this->pass(i, sink);
      block(i).backward(x_[at], *kept[at], dx_, i == 0 && has_tokens() ? Tensor() : dx_, pass);
      check_scratch(block(i), "backward", block(i).scratch_bytes(shape(), how_.compute).backward);
    }
  }

  void deliver(Outcome& into) {
    place("y", x_.back(), own_rows_, into);
    if (!has_tokens()) place("dx", dx_, own_rows_, into);
    if (has_head()) {
      place("losses", losses_.as({shape().tokens, 1}), rows_, into);
      place("logits", logits_, rows_, into);
    }
    for (std::size_t i = 0; i < blocks_.size(); ++i) add_gradients(i, into);
    into.complaints.insert(into.complaints.end(), complaints_.begin(), complaints_.end());
    into.tensor.push_back(tensor_->traffic());
    into.context.push_back(context_->traffic());
  }

 private:
  const Block& block(int i) const { return *blocks_[static_cast<std::size_t>(i)]; }
  const Head& head() const { return dynamic_cast<const Head&>(*blocks_.back()); }
  bool has_head() const { return dynamic_cast<const Head*>(blocks_.back().get()) != nullptr; }
  bool has_tokens() const { return blocks_.front()->name() == "embedding"; }
  int ordinary() const { return static_cast<int>(blocks_.size()) - (has_head() ? 1 : 0); }
  std::int64_t total() const { return static_cast<std::int64_t>(rows_.size()) * how_.axes.context; }
  BatchShape shape() const {
    const auto tokens = static_cast<std::int64_t>(rows_.size());
    return {tokens, tokens};
  }
  Pass pass(int i, GradientSink& sink) {
    return {
        backend_->ops(), sink,   weights_[static_cast<std::size_t>(i)], *scratch_, *tensor_, *context_, *alone_, Key(),
        batch_,          nullptr};
  }

  /// In one piece, so that what is in use is what was asked for.
  void fresh_scratch() {
    scratch_ = std::make_unique<Arena>(backend_->memory());
    scratch_->reserve(std::size_t{1} << 22);
  }
  void check_scratch(const Block& block, const char* what, std::size_t planned) {
    if (scratch_->largest() == planned) return;
    complaints_.push_back(
        fmt::format("{} {} uses {} bytes of scratch and said {}", block.name(), what, scratch_->largest(), planned));
  }

  Tensor zeros(Dtype dtype, Dims dims) {
    const std::size_t bytes = std::max<std::size_t>(1, static_cast<std::size_t>(dims.elements()) * size_of(dtype));
    buffers_.emplace_back(backend_->memory(), bytes);
    std::memset(buffers_.back().data(), 0, bytes);
    return buffers_.back().tensor(dtype, dims);
  }

  Tensor stored(const std::vector<double>& values, Dims dims) {
    const Tensor tensor = zeros(how_.compute, dims);
    for (std::size_t i = 0; i < values.size(); ++i) {
      switch (how_.compute) {
        case Dtype::f64:
          tensor.span<double>()[i] = values[i];
          break;
        case Dtype::f32:
          tensor.span<float>()[i] = static_cast<float>(values[i]);
          break;
        default:
          tensor.span<Bf16>()[i] = Bf16(static_cast<float>(values[i]));
      }
    }
    return tensor;
  }

  static double element(In x, std::int64_t row, std::int64_t column) {
    switch (x.dtype) {
      case Dtype::f64:
        return x.row<double>(row)[column];
      case Dtype::f32:
        return static_cast<double>(x.row<float>(row)[column]);
      default:
        return static_cast<double>(static_cast<float>(x.row<Bf16>(row)[column]));
    }
  }

  /// This rank's piece of a whole weight.
  Tensor piece(const Parameter& parameter) {
    const std::vector<double> full = whole_weight(parameter, how_.rounded);
    std::vector<double> mine(static_cast<std::size_t>(piece_dims(parameter).elements()), 0.0);
    each_element(parameter, [&](std::size_t at, std::size_t index) { mine[at] = full[index]; });
    return stored(mine, piece_dims(parameter));
  }

  /// body(place in the piece, place in `full`) for every element that this tensor rank holds.
  template <class Body>
  void each_element(const Parameter& parameter, const Body& body) const {
    const int held = piece_of(parameter, tensor_->rank(), tensor_->size());
    for (const HeldStretch& stretch : stretches_of(parameter, held, {0, piece_dims(parameter).elements()})) {
      for (std::int64_t i = 0; i < stretch.full.rows; ++i) {
        for (std::int64_t j = 0; j < stretch.full.columns; ++j) {
          body(static_cast<std::size_t>(stretch.at + i * stretch.pitch + j),
               static_cast<std::size_t>(stretch.full.begin + i * stretch.full.stride + j));
        }
      }
    }
  }

  /// This rank's rows of noise (M, D).
  Tensor share(const std::string& name) {
    const std::vector<double> whole = noise(name, total() * width_, 1, how_.rounded);
    std::vector<double> mine;
    for (const std::int64_t row : own_rows_) {
      mine.insert(mine.end(), whole.begin() + row * width_, whole.begin() + (row + 1) * width_);
    }
    return stored(mine, {static_cast<std::int64_t>(own_rows_.size()), width_});
  }

  Tensor forward(int i, Activations& kept) {
    IgnoringSink ignore;
    const Tensor y = zeros(how_.compute, block(i).out(shape()));
    const std::size_t before = kept_bytes_.now();
    const bool had_spare = how_.recompute;  // then memory that an earlier block gave back may be used again
    fresh_scratch();
    Pass pass = this->pass(i, ignore);
    block(i).forward(x_[static_cast<std::size_t>(i)], y, kept, pass);
    check_scratch(block(i), "forward", block(i).scratch_bytes(shape(), how_.compute).forward);
    const std::size_t taken = kept_bytes_.now() - before;
    const std::size_t planned = block(i).kept_bytes(shape(), how_.compute);
    if (!had_spare && (taken < planned || taken > planned + 10 * 64)) {  // tensors are padded to 64 bytes
      complaints_.push_back(fmt::format("{} keeps {} bytes and said {}", block(i).name(), taken, planned));
    }
    return y;
  }

  void run_head() {
    const Dtype wide = statistics_of(how_.compute);
    const Tensor x = x_.back();
    losses_ = zeros(wide, {shape().tokens});
    logits_ = zeros(wide, {shape().tokens, head().vocabulary()});
    dx_ = zeros(how_.compute, x.dims);
    AccumulatingSink sink(backend_->ops(), gradients_.back());
    const ScratchBytes planned = head().scratch_bytes(shape(), how_.compute);
    fresh_scratch();
    Pass logits = this->pass(ordinary(), sink);
    {
      Scratch scratch(*scratch_);
      head().logits(gather_rows(x, scratch, *tensor_), logits_, logits);
    }
    const Tensor alone = zeros(wide, {shape().tokens, 1});
    fresh_scratch();
    Pass forward = this->pass(ordinary(), sink);
    head().forward(x, alone, *head().activations(shape(), how_.compute, kept_), forward);
    check_scratch(head(), "forward", planned.forward);
    fresh_scratch();
    Pass both = this->pass(ordinary(), sink);
    head().loss_and_gradient(x, losses_, dx_, both);
    check_scratch(head(), "with its gradient", planned.backward);
    if (std::memcmp(alone.data, losses_.data, losses_.bytes()) != 0) {
      complaints_.push_back("the head's forward has other losses");
    }
  }

  /// Rows of this rank into a whole tensor; ranks that have the same rows must have the same bits.
  void place(const std::string& name, In rows, const std::vector<std::int64_t>& where, Outcome& into) const {
    const std::int64_t columns = rows.row_elements();
    std::vector<double>& whole = into.values[name];
    whole.resize(static_cast<std::size_t>(total() * columns), nan_);
    for (std::size_t i = 0; i < where.size(); ++i) {
      for (std::int64_t j = 0; j < columns; ++j) {
        const double value = element(rows, static_cast<std::int64_t>(i), j);
        double& there = whole[static_cast<std::size_t>(where[i] * columns + j)];
        if (!std::isnan(there) && there != value) into.complaints.push_back(name + " differs between ranks");
        there = value;
      }
    }
  }

  void add_gradients(std::size_t i, Outcome& into) const {
    const auto parameters = blocks_[i]->parameters();
    for (std::size_t p = 0; p < parameters.size(); ++p) {
      const Parameter& parameter = parameters[p];
      const Tensor found = gradients_[i][p].as({1, gradients_[i][p].elements()});
      std::vector<bool> belongs(static_cast<std::size_t>(found.elements()), false);
      std::vector<double>& whole = into.gradients[parameter.name];
      whole.resize(static_cast<std::size_t>(parameter.full.elements()), 0.0);
      const bool first = is_first_holder(parameter, tensor_->rank(), tensor_->size());
      each_element(parameter, [&](std::size_t at, std::size_t index) {
        belongs[at] = true;
        if (first || parameter.copies == Copies::add) {
          whole[index] += element(found, 0, static_cast<std::int64_t>(at));
        }
      });
      for (std::size_t at = 0; at < belongs.size(); ++at) {
        if (!belongs[at] && element(found, 0, static_cast<std::int64_t>(at)) != 0) {
          into.complaints.push_back(parameter.name + ": padding has a gradient");
        }
      }
    }
  }

  static constexpr double nan_ = std::numeric_limits<double>::quiet_NaN();

  MeshRun how_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::int64_t width_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Communicator> tensor_, context_, alone_;
  HostMemory kept_bytes_;
  std::vector<Buffer> buffers_;
  std::unique_ptr<Arena> scratch_;
  KeptMemory kept_;
  BatchMaker maker_;
  Batch batch_;
  std::vector<std::int64_t> rows_;      // of the microbatch, that this context rank has
  std::vector<std::int64_t> own_rows_;  // of these, this tensor rank's
  std::vector<std::vector<Tensor>> weights_, gradients_;
  std::vector<Tensor> x_;  // by block: its input; behind them the last one's output
  Tensor dx_, losses_, logits_;
  std::vector<std::string> complaints_;
};

}  // namespace

Outcome run(const Chain& chain, const Documents& documents, const MeshRun& how) {
  const int ranks = how.axes.tensor * how.axes.context;
  Outcome outcome;
  ThreadWorld(ranks).run([&](Communicator& world) {
    Member member(chain, documents, how, world);
    member.work();
    for (int turn = 0; turn < ranks; ++turn) {  // in rank order, so that sums have one order
      if (turn == world.rank()) member.deliver(outcome);
      world.barrier();
    }
  });
  return outcome;
}

}  // namespace hearth::test
