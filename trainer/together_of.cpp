#include "trainer/together_of.h"

#include <algorithm>

namespace hearth {

namespace {

std::int64_t sum_over(Communicator& world, std::int64_t mine) {
  world.sum(Tensor(&mine, Dtype::i64, {1})).wait();
  return mine;
}

/// Texts travel in places of equal size, those of the longest.
std::vector<std::string> gathered(Communicator& world, std::string_view mine) {
  const auto ranks = static_cast<std::size_t>(world.size());
  auto length = static_cast<std::int64_t>(mine.size());
  std::vector<std::int64_t> lengths(ranks);
  world.gather(Tensor(&length, Dtype::i64, {1}), Tensor(lengths.data(), Dtype::i64, {world.size()})).wait();
  const std::int64_t place = *std::max_element(lengths.begin(), lengths.end());
  std::vector<std::string> texts(ranks);
  if (place == 0) return texts;
  std::string padded(mine);
  padded.resize(static_cast<std::size_t>(place));
  std::string all(ranks * padded.size(), '\0');
  world.gather(Tensor(padded.data(), Dtype::u8, {place}), Tensor(all.data(), Dtype::u8, {place * world.size()})).wait();
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    texts[rank] = all.substr(rank * padded.size(), static_cast<std::size_t>(lengths[rank]));
  }
  return texts;
}

}  // namespace

Together together_of(Communicator& world) {
  return {world.rank(), world.size(), [&world](std::int64_t mine) { return sum_over(world, mine); },
          [&world](std::string_view mine) { return gathered(world, mine); }};
}

}  // namespace hearth
