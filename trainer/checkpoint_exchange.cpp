#include "trainer/checkpoint_exchange.h"

#include <cstdint>
#include <numeric>

namespace hearth {

namespace {

std::vector<std::int64_t> gather_sizes(Communicator& world, std::int64_t mine) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(world.size()));
  world.gather(Tensor(&mine, Dtype::i64, {1}), Tensor(all.data(), Dtype::i64, {world.size()})).wait();
  return all;
}

std::int64_t total(const std::vector<std::int64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
}

Tensor bytes_of(std::string& text) {
  return {text.data(), Dtype::u8, {static_cast<std::int64_t>(text.size())}};
}

}  // namespace

std::vector<std::string> collect(Communicator& world, std::string_view mine) {
  require(!mine.empty(), "a collected text is not empty");
  const std::vector<std::int64_t> sizes = gather_sizes(world, static_cast<std::int64_t>(mine.size()));
  const auto me = static_cast<std::size_t>(world.rank());
  std::vector<std::int64_t> to(sizes.size());
  std::vector<std::int64_t> from(sizes.size());
  to[0] = sizes[me];
  if (me == 0) from = sizes;
  std::string rows(mine);
  std::string all(static_cast<std::size_t>(total(from)), '\0');
  world.exchange(bytes_of(rows), to, bytes_of(all), from).wait();
  std::vector<std::string> texts;
  if (me != 0) return texts;
  std::size_t at = 0;
  for (const std::int64_t size : sizes) {
    texts.push_back(all.substr(at, static_cast<std::size_t>(size)));
    at += static_cast<std::size_t>(size);
  }
  return texts;
}

std::string spread(Communicator& world, std::string_view mine) {
  const auto me = static_cast<std::size_t>(world.rank());
  const std::vector<std::int64_t> sizes = gather_sizes(world, me == 0 ? static_cast<std::int64_t>(mine.size()) : 0);
  std::vector<std::int64_t> to(sizes.size(), me == 0 ? sizes[0] : 0);
  std::vector<std::int64_t> from(sizes.size());
  from[0] = sizes[0];
  std::string rows;
  for (std::size_t i = 0; me == 0 && i < sizes.size(); ++i) rows += mine;
  std::string text(static_cast<std::size_t>(sizes[0]), '\0');
  world.exchange(bytes_of(rows), to, bytes_of(text), from).wait();
  return text;
}

}  // namespace hearth
