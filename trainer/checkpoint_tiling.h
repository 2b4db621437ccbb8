// Which elements of a parameter a piece has, as rectangles of one matrix: so pieces are held against each other, and
// against what somebody asks for, without looking at single elements.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/parameter.h"

namespace hearth {

/// Whether a stretch names elements of a parameter of `elements` elements, each once: a contiguous part of it, or a
/// rectangle of the matrix whose rows are as long as the stride. Any numbers may be given; nothing overflows.
bool fits(const Stretch& place, std::int64_t elements);
/// The same elements, as one row where the rows follow each other without a gap.    REQUIRES: it fits.
Stretch plain(const Stretch& place);
/// From its first to behind its last element.    REQUIRES: it fits.
Interval hull(const Stretch& place);
/// "[2, 5)", or "4 rows of 3 from 2, 8 apart".
std::string text_of(const Stretch& place);

/// Rows and columns of the matrix that a parameter is when it is written in rows of some width, and where somebody has
/// them: element (r, c) at origin + r * pitch + c.
struct Rectangle {
  Interval rows;
  Interval columns;
  std::int64_t origin = 0;
  std::int64_t pitch = 0;
};
/// A stretch in rows of `width` elements: at most three rectangles, in order. Whoever has it has its first element at 0
/// and its rows `pitch` apart (one row: its elements end to end).    REQUIRES: it fits; one row, or stride = width.
std::vector<Rectangle> rectangles_of(const Stretch& place, std::int64_t width, std::int64_t pitch);

/// Why places are not together the elements [0, elements), each once: "216 of 217 elements", "the overlapping [0, 4)
/// and [2, 6)", ...; empty when they are. Rectangles of one parameter have one stride. Takes n log n for n places,
/// however many rows they have. Any numbers may be given.
std::string tiling_fault(std::span<const Stretch> places, std::int64_t elements);

}  // namespace hearth
