// Whether pieces tile a parameter, held against counting single elements.
#include "trainer/checkpoint_tiling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "base/random.h"

namespace hearth::test {
namespace {

using testing::HasSubstr;

constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();

/// How often each element is named.
std::vector<int> times_named(std::span<const Stretch> places, std::int64_t elements) {
  std::vector<int> times(static_cast<std::size_t>(elements), 0);
  for (const Stretch& place : places) {
    for (std::int64_t i = 0; i < place.rows; ++i) {
      for (std::int64_t j = 0; j < place.columns; ++j) {
        ++times[static_cast<std::size_t>(place.begin + i * place.stride + j)];
      }
    }
  }
  return times;
}

class Draws {
 public:
  explicit Draws(std::uint64_t seed) : key_(Key(seed).with("tiling")) {}
  std::int64_t below(std::int64_t bound) {
    return static_cast<std::int64_t>(key_.below(static_cast<std::uint64_t>(bound), drawn_++));
  }

 private:
  Key key_;
  std::uint64_t drawn_ = 0;
};

/// Cuts rows x columns of a matrix with `width` columns into pieces, anywhere.
void cut(Draws& draws, Interval rows, Interval columns, std::int64_t width, std::vector<Stretch>& pieces) {
  if (rows.count() <= 0 || columns.count() <= 0) return;
  const std::int64_t choice = draws.below(4);
  if (choice == 0 && rows.count() > 1) {
    const std::int64_t at = rows.begin + 1 + draws.below(rows.count() - 1);
    cut(draws, {rows.begin, at}, columns, width, pieces);
    cut(draws, {at, rows.end}, columns, width, pieces);
  } else if (choice == 1 && columns.count() > 1) {
    const std::int64_t at = columns.begin + 1 + draws.below(columns.count() - 1);
    cut(draws, rows, {columns.begin, at}, width, pieces);
    cut(draws, rows, {at, columns.end}, width, pieces);
  } else if (columns.count() == width && rows.count() > 1 && choice == 2) {  // contiguous: cut it within a row
    const std::int64_t begin = rows.begin * width;
    const std::int64_t count = rows.count() * width;
    const std::int64_t first = 1 + draws.below(count - 1);
    pieces.push_back({begin, 1, first, 0});
    pieces.push_back({begin + first, 1, count - first, 0});
  } else {
    const bool one = rows.count() == 1;
    pieces.push_back({rows.begin * width + columns.begin, rows.count(), columns.count(), one ? 0 : width});
  }
}

TEST(Tiling, agrees_with_counting) {
  Draws draws(3);
  int whole = 0;
  int broken = 0;
  for (int round = 0; round < 20000; ++round) {
    const std::int64_t width = 1 + draws.below(8);
    const std::int64_t height = 1 + draws.below(8);
    std::vector<Stretch> pieces;
    cut(draws, {0, height}, {0, width}, width, pieces);
    for (int changes = static_cast<int>(draws.below(3)); changes > 0 && !pieces.empty(); --changes) {
      Stretch& piece = pieces[static_cast<std::size_t>(draws.below(static_cast<std::int64_t>(pieces.size())))];
      const Stretch before = piece;
      const std::int64_t by = draws.below(3) - 1;
      const std::int64_t what = draws.below(4);
      (what == 0 ? piece.begin : what == 1 ? piece.columns : piece.rows) += by;
      if (piece.rows == 1) piece.stride = 0;
      if (piece.rows > 1 && piece.stride == 0) piece.stride = width;
      if (!fits(piece, width * height)) piece = before;
      if (what == 3) pieces.push_back(pieces[0]);
    }
    for (std::size_t i = pieces.size(); i > 1; --i) {  // in any order
      std::swap(pieces[i - 1], pieces[static_cast<std::size_t>(draws.below(static_cast<std::int64_t>(i)))]);
    }
    const std::vector<int> times = times_named(pieces, width * height);
    const bool good = std::all_of(times.begin(), times.end(), [](int n) { return n == 1; });
    const std::string fault = tiling_fault(pieces, width * height);
    ASSERT_EQ(fault.empty(), good) << fault << " in round " << round;
    ++(good ? whole : broken);
  }
  EXPECT_GT(whole, 5000);
  EXPECT_GT(broken, 5000);
}

TEST(Tiling, says_what_is_wrong) {
  const auto fault = [](std::vector<Stretch> places, std::int64_t elements) { return tiling_fault(places, elements); };
  EXPECT_EQ(fault({{0, 1, 6, 0}}, 6), "");
  EXPECT_EQ(fault({}, 6), "0 of 6 elements");
  EXPECT_EQ(fault({{0, 2, 2, 3}}, 6), "4 of 6 elements");
  EXPECT_EQ(fault({{0, 1, 4, 0}, {3, 1, 3, 0}}, 6), "the overlapping [0, 4) and [3, 6)");
  EXPECT_EQ(fault({{0, 2, 2, 3}, {1, 2, 2, 3}}, 6),
            "the overlapping 2 rows of 2 from 0, 3 apart and 2 rows of 2 from 1, 3 apart");
  EXPECT_EQ(fault({{0, 2, 1, 2}, {1, 2, 1, 2}, {4, 2, 2, 4}}, 16), "rectangles in rows of 2 and of 4 elements");
  EXPECT_EQ(fault({{0, 1, 7, 0}}, 6), "the impossible [0, 7)");
}

TEST(Tiling, fits_whatever_the_numbers) {
  const std::vector<std::int64_t> numbers = {std::numeric_limits<std::int64_t>::min(),
                                             -1,
                                             0,
                                             1,
                                             2,
                                             3,
                                             5,
                                             6,
                                             11,
                                             12,
                                             13,
                                             std::int64_t{1} << 32,
                                             most - 1,
                                             most};
  for (const std::int64_t begin : numbers) {
    for (const std::int64_t rows : numbers) {
      for (const std::int64_t columns : numbers) {
        for (const std::int64_t stride : numbers) {
          for (const std::int64_t elements : {std::int64_t{12}, most}) {
            const Stretch place{begin, rows, columns, stride};
            __extension__ using Wide = __int128;
            bool good = begin >= 0 && rows > 0 && columns > 0 &&
                        Wide{begin} + Wide{rows - 1} * (rows == 1 ? 0 : stride) + columns <= elements;
            if (good && rows > 1) {
              good = stride > 0 && elements % stride == 0 && Wide{begin % stride} + columns <= stride;
            }
            ASSERT_EQ(fits(place, elements), good) << text_of(place) << " of " << elements;
          }
        }
      }
    }
  }
}

// A matrix of 2^42 elements and pieces of as many rows as it has: what is looked at is the pieces.
TEST(Tiling, costs_by_pieces_and_not_by_rows) {
  const std::int64_t width = std::int64_t{1} << 21;
  const std::int64_t elements = width * width;
  std::vector<Stretch> pieces;
  const std::int64_t columns = 32;
  for (std::int64_t at = 0; at < width; at += columns) pieces.push_back({at, width, columns, width});
  EXPECT_EQ(pieces.size(), 65536U);
  EXPECT_EQ(tiling_fault(pieces, elements), "");
  pieces[777].columns -= 1;
  EXPECT_EQ(tiling_fault(pieces, elements),
            std::to_string(elements - width) + " of " + std::to_string(elements) + " elements");
  pieces[777].columns += 2;
  EXPECT_THAT(tiling_fault(pieces, elements), HasSubstr("overlapping"));
}

TEST(Tiling, rectangles_have_the_elements_of_their_stretch) {
  const std::int64_t width = 7;
  for (std::int64_t begin = 0; begin < 28; ++begin) {
    for (std::int64_t end = begin + 1; end <= 28; ++end) {
      std::int64_t next = begin;
      for (const Rectangle& part : rectangles_of({begin, 1, end - begin, 0}, width, 99)) {
        for (std::int64_t r = part.rows.begin; r < part.rows.end; ++r) {
          for (std::int64_t c = part.columns.begin; c < part.columns.end; ++c) {
            ASSERT_EQ(r * width + c, next);
            ASSERT_EQ(part.origin + r * part.pitch + c, next - begin);
            ++next;
          }
        }
      }
      ASSERT_EQ(next, end);
    }
  }
  const std::vector<Rectangle> one = rectangles_of({9, 3, 4, 7}, width, 5);
  ASSERT_EQ(one.size(), 1U);
  EXPECT_EQ(one[0].rows, (Interval{1, 4}));
  EXPECT_EQ(one[0].columns, (Interval{2, 6}));
  EXPECT_EQ(one[0].origin + 1 * one[0].pitch + 2, 0);
  EXPECT_EQ(one[0].origin + 3 * one[0].pitch + 5, 2 * 5 + 3);
}

TEST(Tiling, rows_without_a_gap_are_one) {
  EXPECT_EQ(plain({14, 3, 7, 7}), (Stretch{14, 1, 21, 0}));
  EXPECT_EQ(plain({14, 3, 6, 7}), (Stretch{14, 3, 6, 7}));
  EXPECT_EQ(plain({14, 1, 6, 5}), (Stretch{14, 1, 6, 0}));
}

}  // namespace
}  // namespace hearth::test
