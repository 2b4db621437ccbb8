#include "trainer/checkpoint_tiling.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "base/error.h"

namespace hearth {

namespace {

/// Where a rectangle begins or ends while the rows are walked through.
struct Edge {
  std::int64_t row = 0;
  bool begins = false;  // what ends before a row is gone when the next begins there
  Interval columns;
  std::size_t place = 0;
};

/// The columns that are taken in the row where the walk is, and by whom.
class Taken {
 public:
  /// Takes columns for a place; who has some of them already, or `place` itself.
  std::size_t take(Interval columns, std::size_t place) {
    const auto next = taken_.lower_bound(columns.begin);
    if (next != taken_.end() && next->first < columns.end) return next->second.place;
    if (next != taken_.begin() && std::prev(next)->second.end > columns.begin) return std::prev(next)->second.place;
    taken_.emplace_hint(next, columns.begin, Owner{columns.end, place});
    return place;
  }
  void give(Interval columns) { taken_.erase(columns.begin); }

 private:
  struct Owner {
    std::int64_t end = 0;
    std::size_t place = 0;
  };
  std::map<std::int64_t, Owner> taken_;  // by their first column; they do not overlap
};

/// The edges of all places, from the first row to the last.
std::vector<Edge> edges_of(std::span<const Stretch> places, std::int64_t width) {
  std::vector<Edge> edges;
  for (std::size_t i = 0; i < places.size(); ++i) {
    for (const Rectangle& part : rectangles_of(places[i], width, 0)) {
      edges.push_back({part.rows.begin, true, part.columns, i});
      edges.push_back({part.rows.end, false, part.columns, i});
    }
  }
  std::sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) {
    return std::tie(a.row, a.begins, a.place) < std::tie(b.row, b.begins, b.place);
  });
  return edges;
}

}  // namespace

bool fits(const Stretch& place, std::int64_t elements) {
  if (place.begin < 0 || place.rows < 1 || place.columns < 1 || place.columns > elements) return false;
  const std::int64_t room = elements - place.columns - place.begin;  // behind the first row
  if (room < 0 || place.rows == 1) return room >= 0;
  return place.stride > 0 && elements % place.stride == 0 &&
         place.begin % place.stride <= place.stride - place.columns && place.rows - 1 <= room / place.stride;
}

Stretch plain(const Stretch& place) {
  const bool one_row = place.rows == 1 || place.stride == place.columns;
  return one_row ? Stretch{place.begin, 1, place.elements(), 0} : place;
}

Interval hull(const Stretch& place) {
  return {place.begin, place.begin + (place.rows - 1) * place.stride + place.columns};
}

std::string text_of(const Stretch& place) {
  if (place.rows != 1) {
    return fmt::format("{} rows of {} from {}, {} apart", place.rows, place.columns, place.begin, place.stride);
  }
  const auto end = static_cast<std::uint64_t>(place.begin) + static_cast<std::uint64_t>(place.columns);
  return fmt::format("[{}, {})", place.begin, static_cast<std::int64_t>(end));  // of any numbers: wraps
}

std::vector<Rectangle> rectangles_of(const Stretch& place, std::int64_t width, std::int64_t pitch) {
  const std::int64_t row = place.begin / width;
  const std::int64_t column = place.begin % width;
  std::vector<Rectangle> rectangles;
  if (place.rows > 1) {
    require(place.stride == width, "a rectangle is looked at in the matrix that it is cut from");
    rectangles.push_back({{row, row + place.rows}, {column, column + place.columns}, -(row * pitch + column), pitch});
    return rectangles;
  }
  const auto add = [&](Interval rows, Interval columns) {
    if (rows.count() > 0 && columns.count() > 0) rectangles.push_back({rows, columns, -place.begin, width});
  };
  const std::int64_t end = place.begin + place.columns;
  const std::int64_t last = end / width;  // the row in which it ends
  if (row == last) {
    add({row, row + 1}, {column, end % width});
    return rectangles;
  }
  const std::int64_t whole = column == 0 ? row : row + 1;
  add({row, whole}, {column, width});
  add({whole, last}, {0, width});
  add({last, last + 1}, {0, end % width});
  return rectangles;
}

std::string tiling_fault(std::span<const Stretch> places, std::int64_t elements) {
  std::int64_t width = 0;
  for (const Stretch& place : places) {
    if (!fits(place, elements)) return fmt::format("the impossible {}", text_of(place));
    if (place.rows == 1) continue;
    if (width != 0 && place.stride != width) {
      return fmt::format("rectangles in rows of {} and of {} elements", width, place.stride);
    }
    width = place.stride;
  }
  Taken taken;
  std::int64_t covered = 0;  // no element counts twice, so it cannot exceed `elements`
  for (const Edge& edge : edges_of(places, width == 0 ? std::max<std::int64_t>(1, elements) : width)) {
    if (!edge.begins) {
      taken.give(edge.columns);
      continue;
    }
    if (const std::size_t owner = taken.take(edge.columns, edge.place); owner != edge.place) {
      return fmt::format("the overlapping {} and {}", text_of(places[owner]), text_of(places[edge.place]));
    }
  }
  for (const Stretch& place : places) covered += place.elements();
  return covered == elements ? "" : fmt::format("{} of {} elements", covered, elements);
}

}  // namespace hearth
