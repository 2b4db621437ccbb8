#include "trainer/step.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>

#include "optim/clip.h"
#include "trainer/evaluate.h"
#include "trainer/finite.h"

namespace hearth {

/// The microbatches of one step, and which of them are this rank's.
struct Stepper::Share {
  std::vector<std::vector<std::int64_t>> microbatches;  // rows of each, of all ranks
  std::int64_t rounds = 0;
  std::int64_t tokens = 0;
  std::int64_t trained = 0;
};

Documents documents_of(const Rows& rows, std::span<const std::int64_t> chosen, float weight) {
  Documents all;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const Row row = rows.row(chosen[i]);
    const auto offset = static_cast<std::int32_t>(all.tokens.size());
    for (std::size_t d = 0; d + 1 < row.document_starts.size(); ++d) {  // the last entry is the row's end
      all.starts.push_back(offset + row.document_starts[d]);
    }
    all.tokens.insert(all.tokens.end(), row.tokens.begin(), row.tokens.end());
    all.targets.insert(all.targets.end(), row.targets.begin(), row.targets.end());
    all.example.insert(all.example.end(), row.tokens.size(), static_cast<std::int32_t>(i));
  }
  for (const std::int32_t target : all.targets) all.weights.push_back(target < 0 ? 0.0F : weight);
  return all;
}

namespace {

/// Entry n: the tokens of the n longest rows, n from 0.
std::vector<std::int64_t> tokens_of_longest(const Rows& rows) {
  std::vector<std::int64_t> lengths(static_cast<std::size_t>(rows.count()));
  for (std::size_t i = 0; i < lengths.size(); ++i) lengths[i] = rows.tokens(static_cast<std::int64_t>(i));
  std::sort(lengths.begin(), lengths.end(), std::greater<>());
  std::vector<std::int64_t> sums(lengths.size() + 1, 0);
  std::partial_sum(lengths.begin(), lengths.end(), sums.begin() + 1);
  return sums;
}

}  // namespace

std::int64_t capacity_for(const Rows& rows, std::int64_t count) {
  return tokens_of_longest(rows)[static_cast<std::size_t>(std::min(rows.count(), count))];
}

std::int64_t capacity_for(const Rows& rows, const Places& microbatches) {
  const std::vector<std::int64_t> longest = tokens_of_longest(rows);
  const auto sum_of = [&](std::int64_t count) { return longest[static_cast<std::size_t>(count)]; };
  const std::int64_t epoch = rows.count();
  std::int64_t most = 0;
  // An epoch holds each row once. So a microbatch takes different rows of the epoch that it begins in, every row of those
  // that it covers, and different rows of the one that it ends in; the epochs' orders have nothing to do with each other,
  // so that both ends may have the longest. After `epoch` microbatches they begin at the same places of an epoch again,
  // and a short one has no more than a whole one that begins there.
  std::int64_t begin = microbatches.first;
  for (std::int64_t number = 0; number < epoch && begin < microbatches.end; ++number, begin += microbatches.rows) {
    const std::int64_t size = std::min(microbatches.rows, microbatches.end - begin);
    const std::int64_t head = std::min(size, epoch - begin % epoch);
    const std::int64_t behind = size - head;
    most = std::max(most, sum_of(head) + behind / epoch * sum_of(epoch) + sum_of(behind % epoch));
  }
  return most;
}

Stepper::Stepper(Pipeline& pipeline, Groups& groups, Ops& ops, Memory& memory, const Rows& rows,
                 const StepOptions& options)
    : pipeline_(pipeline),
      groups_(groups),
      mesh_(pipeline.mesh()),
      ops_(ops),
      rows_(rows),
      options_(options),
      control_(memory, 2 * sizeof(float)),
      norm_(groups.members(), groups.places(), pipeline.mesh(), memory) {}

Stepper::Share Stepper::share_of(std::span<const std::int64_t> chosen) const {
  Share share;
  const auto rows = static_cast<std::size_t>(options_.microbatch_rows);
  for (std::size_t first = 0; first < chosen.size(); first += rows) {
    const auto some = chosen.subspan(first, std::min(rows, chosen.size() - first));
    share.microbatches.emplace_back(some.begin(), some.end());
    for (const std::int64_t row : some) {
      share.tokens += rows_.tokens(row);
      share.trained += rows_.trained(row);
    }
  }
  const auto ranks = static_cast<std::int64_t>(mesh_.along(Axis::data).size());
  share.rounds = (static_cast<std::int64_t>(share.microbatches.size()) + ranks - 1) / ranks;
  return share;
}

/// Forward and backward of this rank's microbatches; the sum of losses over all valid targets of the step.
double Stepper::run(const Share& share, const Inspect& look) {
  Communicator& data = mesh_.along(Axis::data);
  const auto count = static_cast<std::int64_t>(share.microbatches.size());
  const float weight = share.trained == 0 ? 0.0F : static_cast<float>(1.0 / static_cast<double>(share.trained));
  std::vector<double> sums(static_cast<std::size_t>(count), 0.0);  // one for each microbatch, of all ranks
  const auto number = [&](std::int64_t round) { return round * data.size() + data.rank(); };
  Inspect inspect;
  if (look) inspect = [&](std::int64_t m, int block, const char* what, In x) { look(number(m), block, what, x); };
  pipeline_.run(
      share.rounds,
      [&](std::int64_t round) -> std::optional<Documents> {
        if (number(round) >= count) return std::nullopt;
        return documents_of(rows_, share.microbatches[static_cast<std::size_t>(number(round))], weight);
      },
      [&](std::int64_t round, In losses) {
        double& sum = sums[static_cast<std::size_t>(number(round))];
        for (const float loss : losses.span<float>()) sum += static_cast<double>(loss);
      },
      inspect);
  add_up(mesh_, Tensor(sums.data(), Dtype::f64, {count}));  // every other rank holds zero in my places
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

void Stepper::update(std::int64_t step, double rate, StepResult& result) {
  groups_.finish();
  const Tensor measured = norm_.measure();  // norm, first bad group
  result.norm = measured.span<double>()[0];
  const Tensor control = control_.tensor(Dtype::f32, {2});
  clip_control(result.norm, options_.max_norm, control);
  result.updated = control.span<float>()[1] == 1.0F;
  AdamW update = options_.adamw;
  update.rate = rate;
  update.step = step + 1;
  for (int i = 0; result.updated && i < groups_.count(); ++i) {
    const FlatGroup& group = groups_.group(i);
    for (const FlatGroup::Piece& piece : group.updated()) {
      AdamW of_piece = update;
      if (!group.parameters()[static_cast<std::size_t>(piece.parameter)].decayed) of_piece.decay = 0;
      ops_.adamw(piece.gradient, control, of_piece, piece.weight, piece.first_moment, piece.second_moment);
    }
  }
  if (result.updated) groups_.publish();
  groups_.reset();
}

StepResult Stepper::step(std::int64_t step, std::span<const std::int64_t> chosen, double rate) {
  const Share share = share_of(chosen);
  StepResult result;
  result.rate = rate;
  result.tokens = share.tokens;
  result.trained = share.trained;
  result.microbatches = static_cast<std::int64_t>(share.microbatches.size());
  result.spare = share.rounds * mesh_.along(Axis::data).size() - result.microbatches;
  const double total = run(share, {});
  result.loss = share.trained == 0 ? 0.0 : total / static_cast<double>(share.trained);
  update(step, rate, result);
  return result;
}

Trouble Stepper::diagnose(std::span<const std::int64_t> chosen) {
  Communicator& world = mesh_.world();
  const Transformer& model = pipeline_.stage().model();
  const int blocks = model.blocks();
  // Places in the order in which things happen: microbatch, then forward through the blocks, then backward.
  std::int64_t mine = std::numeric_limits<std::int64_t>::max();
  run(share_of(chosen), [&](std::int64_t m, int block, const char* what, In tensor) {
    const bool backward = std::string_view(what) == "gradient";
    const std::int64_t place = m * 2 * blocks + (backward ? 2 * blocks - 1 - block : block);
    if (place < mine && !all_finite(tensor)) mine = place;
  });
  groups_.finish();
  groups_.reset();
  std::vector<std::int64_t> places(static_cast<std::size_t>(world.size()));
  world.gather(Tensor(&mine, Dtype::i64, {1}), Tensor(places.data(), Dtype::i64, {world.size()})).wait();
  const auto earliest = std::min_element(places.begin(), places.end());
  Trouble trouble;
  if (*earliest == std::numeric_limits<std::int64_t>::max()) {
    trouble.block = "none";
    trouble.what = "sum of gradients (each microbatch by itself is finite)";
    return trouble;
  }
  const std::int64_t within = *earliest % (2 * blocks);
  const auto block = static_cast<int>(within < blocks ? within : 2 * blocks - 1 - within);
  trouble.microbatch = *earliest / (2 * blocks);
  trouble.rank = static_cast<int>(earliest - places.begin());
  trouble.block = model.block(block).name();
  trouble.what = within < blocks ? "forward" : "gradient";
  return trouble;
}

}  // namespace hearth
