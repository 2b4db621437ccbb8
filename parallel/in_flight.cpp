#include "parallel/in_flight.h"

#include <algorithm>

#include "base/error.h"

namespace hearth {

namespace {

struct Counts {
  std::vector<int> in_flight;  // by chunk
  std::vector<int> put_off;
};

/// Calls look(counts) during each action.
template <class Look>
void replay(std::span<const Action> actions, std::size_t chunks, const Look& look) {
  const bool split =
      std::any_of(actions.begin(), actions.end(), [](const Action& a) { return a.what == Do::contract; });
  Counts counts = {std::vector<int>(chunks), std::vector<int>(chunks)};
  for (const Action& action : actions) {
    require(action.chunk >= 0 && static_cast<std::size_t>(action.chunk) < chunks, "an action is of one of the chunks");
    const auto chunk = static_cast<std::size_t>(action.chunk);
    if (action.what == Do::forward) ++counts.in_flight[chunk];
    look(counts);
    if (action.what == Do::backward) --counts.in_flight[chunk];
    if (action.what == Do::backward && split) ++counts.put_off[chunk];
    if (action.what == Do::contract) --counts.put_off[chunk];
  }
}

int sum(const std::vector<int>& counts) {
  int total = 0;
  for (const int count : counts) total += count;
  return total;
}

}  // namespace

InFlight in_flight(std::span<const Action> actions, int chunks) {
  InFlight result;
  result.by_chunk.resize(static_cast<std::size_t>(chunks));
  replay(actions, result.by_chunk.size(), [&](const Counts& now) {
    result.most = std::max(result.most, sum(now.in_flight));
    result.most_held = std::max(result.most_held, sum(now.in_flight) + sum(now.put_off));
    for (std::size_t chunk = 0; chunk < result.by_chunk.size(); ++chunk) {
      result.by_chunk[chunk] = std::max(result.by_chunk[chunk], now.in_flight[chunk]);
    }
  });
  return result;
}

std::size_t most_bytes(std::span<const Action> actions, std::span<const ChunkBytes> chunks) {
  std::size_t most = 0;
  replay(actions, chunks.size(), [&](const Counts& now) {
    std::size_t bytes = 0;
    for (std::size_t chunk = 0; chunk < chunks.size(); ++chunk) {
      bytes += static_cast<std::size_t>(now.in_flight[chunk]) * chunks[chunk].kept;
      bytes += static_cast<std::size_t>(now.put_off[chunk]) * chunks[chunk].put_off;
    }
    most = std::max(most, bytes);
  });
  return most;
}

}  // namespace hearth
