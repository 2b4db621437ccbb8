#include "kernels/cpu/products.h"

#include <oneapi/dnnl/dnnl.h>

#include <atomic>

#include "kernels/cpu/storage.h"

namespace hearth::cpu {

namespace {

constexpr std::int64_t tile_rows = 256;
constexpr std::int64_t tile_columns = 384;
constexpr std::int64_t tile_step = 16;
constexpr std::int64_t enough_tiles = 8;
constexpr std::int64_t smallest_tile = 64;
constexpr std::int64_t smallest_work = 1 << 22;  // multiplications that are worth a tile of their own
constexpr std::int64_t dot_columns = 64;
constexpr std::int64_t widened_length = 768;  // bf16 panels are widened to about this length at a time

std::int64_t round_up(std::int64_t n, std::int64_t step) {
  return ceil_divide(n, step) * step;
}

// n cut into equal parts of at most about `most`.
std::int64_t even(std::int64_t n, std::int64_t most) {
  return round_up(ceil_divide(n, ceil_divide(n, most)), tile_step);
}

}  // namespace

bool native_bf16_products() {
  constexpr unsigned needed = dnnl_cpu_isa_avx512_core_bf16;
  return (static_cast<unsigned>(dnnl_get_effective_cpu_isa()) & needed) == needed;
}

// y (rows, columns) = op(a) (rows, length) op(b) (length, columns), cut into a grid of tiles.
struct Products::Problem {
  Tensor a, b, y;
  bool turned_a, turned_b;
  std::int64_t rows, length, columns;
  float scale;
  bool add;
  std::int64_t tile_rows = 0, tile_columns = 0;

  bool is_few() const { return rows <= few_rows && turned_b && !turned_a; }
  // Native products: scales vary from call to call and primitives are kept, so scaling is done outside.
  bool to_floats() const { return scale != 1.0F; }
  // Widened ones: floats of the length that are there at once, and what one thread needs of the workspace.
  std::int64_t scaled_room() const { return to_floats() ? round_up(tile_rows * tile_columns, tile_step) : 0; }
  std::int64_t stretch() const { return even(length, widened_length); }
  std::int64_t widened_room() const { return (tile_rows + tile_columns) * stretch() + tile_rows * tile_columns; }
  std::int64_t tiles() const { return ceil_divide(rows, tile_rows) * ceil_divide(columns, tile_columns); }
  // The largest tiles that still give several threads something to do; by shape alone.
  void cut() {
    std::int64_t most_rows = cpu::tile_rows;
    std::int64_t most_columns = cpu::tile_columns;
    for (;;) {
      tile_rows = even(rows, most_rows);
      tile_columns = even(columns, most_columns);
      if (tiles() >= enough_tiles || tile_rows * tile_columns * length <= smallest_work) return;
      if (tile_rows <= smallest_tile && tile_columns <= smallest_tile) return;
      (tile_rows >= tile_columns ? most_rows : most_columns) = std::max(tile_rows, tile_columns) / 2;
    }
  }
};

struct Products::Tile {
  std::int64_t row, column, rows, columns;

  Tile(const Problem& problem, std::int64_t index) {
    const std::int64_t across = ceil_divide(problem.columns, problem.tile_columns);
    row = index / across * problem.tile_rows;
    column = index % across * problem.tile_columns;
    rows = std::min(problem.tile_rows, problem.rows - row);
    columns = std::min(problem.tile_columns, problem.columns - column);
  }
  const std::byte* a(const Problem& p, std::int64_t l = 0) const {
    return p.turned_a ? at(p.a, l, row) : at(p.a, row, l);
  }
  const std::byte* b(const Problem& p, std::int64_t l = 0) const {
    return p.turned_b ? at(p.b, column, l) : at(p.b, l, column);
  }
};

struct Products::Primitive {
  dnnl::memory::desc a, b, y, scratchpad;
  dnnl::matmul matmul;
};

Products::Products(const Team& team, const Loops& loops, Memory& memory, Bf16Products bf16)
    : team_(team), loops_(loops), bf16_(bf16), workspace_(memory), engine_(dnnl::engine::kind::cpu, 0) {
  for (int thread = 0; thread < team.threads(); ++thread) streams_.emplace_back(engine_);
}

Products::~Products() = default;

void Products::matmul(In a, Turn turn_a, In b, Turn turn_b, float scale, Write write, Out y) {
  Problem problem{a,
                  b,
                  y,
                  turn_a == Turn::yes,
                  turn_b == Turn::yes,
                  y.dims[0],
                  a.dims[turn_a == Turn::yes ? 0 : 1],
                  y.dims[1],
                  scale,
                  write == Write::add};
  if (y.elements() == 0) return;
  if (problem.length == 0) {
    if (problem.add) return;
    team_.each(problem.rows, [&](std::int64_t row, int) {
      std::fill_n(at(y, row, 0), static_cast<std::size_t>(problem.columns) * size_of(y.dtype), std::byte{0});
    });
    return;
  }
  if (problem.is_few()) return few(problem);
  problem.cut();
  if (a.dtype == Dtype::f32) return exact(problem);
  if (bf16_ == Bf16Products::native) return native(problem);
  widened(problem);
}

std::int64_t Products::workspace_floats(const ProductShape& shape) {
  const auto described = [](Dtype dtype, bool turned, std::int64_t rows, std::int64_t columns) {
    return Tensor(nullptr, dtype, turned ? Dims{columns, rows} : Dims{rows, columns});
  };
  const bool turned_a = shape.turn_a == Turn::yes;
  const bool turned_b = shape.turn_b == Turn::yes;
  Problem problem{described(shape.in, turned_a, shape.rows, shape.length),
                  described(shape.in, turned_b, shape.length, shape.columns),
                  described(shape.out, false, shape.rows, shape.columns),
                  turned_a,
                  turned_b,
                  shape.rows,
                  shape.length,
                  shape.columns,
                  1.0F,
                  shape.write == Write::add};
  if (shape.in == Dtype::f32 || problem.y.elements() == 0 || shape.length == 0) return 0;
  if (problem.is_few()) return shape.rows * shape.length;
  problem.cut();
  return team_.threads() *
         (bf16_ == Bf16Products::native ? native_room(problem, primitives_of(problem)) : problem.widened_room());
}

// One dot product an element: b is read once, as it lies.
void Products::few(const Problem& p) {
  const float* left = nullptr;
  std::int64_t left_pitch = p.a.pitch;
  if (p.a.dtype == Dtype::f32) {
    left = p.a.typed<float>();
  } else {
    float* wide = workspace_.floats(p.rows * p.length);
    for (std::int64_t row = 0; row < p.rows; ++row) {
      loops_.cast[1][0](at(p.a, row, 0), wide + row * p.length, p.length);
    }
    left = wide;
    left_pitch = p.length;
  }
  team_.each(ceil_divide(p.columns, dot_columns), [&](std::int64_t piece, int) {
    const std::int64_t from = piece * dot_columns;
    const std::int64_t columns = std::min(dot_columns, p.columns - from);
    alignas(64) float result[few_rows * dot_columns];
    loops_.dots[storage(p.b)](left, left_pitch, p.rows, at(p.b, from, 0), p.b.pitch, columns, p.length, result,
                              dot_columns);
    for (std::int64_t row = 0; row < p.rows; ++row) {
      loops_.store_tile[storage(p.y)](p.scale, result + row * dot_columns, at(p.y, row, from), p.add, columns);
    }
  });
}

void Products::exact(const Problem& p) {
  std::atomic<bool> failed = false;
  team_.each(p.tiles(), [&](std::int64_t index, int) {
    const Tile tile(p, index);
    const dnnl_status_t status =
        dnnl_sgemm(p.turned_a ? 'T' : 'N', p.turned_b ? 'T' : 'N', tile.rows, tile.columns, p.length, p.scale,
                   reinterpret_cast<const float*>(tile.a(p)), p.a.pitch, reinterpret_cast<const float*>(tile.b(p)),
                   p.b.pitch, p.add ? 1.0F : 0.0F, reinterpret_cast<float*>(at(p.y, tile.row, tile.column)), p.y.pitch);
    if (status != dnnl_success) failed = true;
  });
  if (failed) fail(Kind::internal, "dnnl_sgemm refused a product of {} and {}", p.a.dims.text(), p.b.dims.text());
}

// Each tile widens its parts of a and b itself, a stretch of the length at a time: against the product that is a
// fiftieth, and neither operand is ever held whole in f32.
void Products::widened(const Problem& p) {
  const std::int64_t stretch = p.stretch();
  const std::int64_t room_a = p.tile_rows * stretch;
  const std::int64_t room_b = p.tile_columns * stretch;
  const std::int64_t room = p.widened_room();
  float* const workspace = workspace_.floats(room * team_.threads());
  std::atomic<bool> failed = false;
  team_.each(p.tiles(), [&](std::int64_t index, int thread) {
    const Tile tile(p, index);
    float* const a = workspace + thread * room;
    float* const b = a + room_a;
    float* const sums = b + room_b;
    const bool direct = p.y.dtype == Dtype::f32;
    float* const y = direct ? reinterpret_cast<float*>(at(p.y, tile.row, tile.column)) : sums;
    const std::int64_t y_pitch = direct ? p.y.pitch : tile.columns;
    for (std::int64_t l = 0; l < p.length; l += stretch) {
      const std::int64_t some = std::min(stretch, p.length - l);
      const std::int64_t a_columns = p.turned_a ? tile.rows : some;
      const std::int64_t b_columns = p.turned_b ? some : tile.columns;
      const Word* from_a = reinterpret_cast<const Word*>(tile.a(p, l));
      const Word* from_b = reinterpret_cast<const Word*>(tile.b(p, l));
      for (std::int64_t row = 0; row < (p.turned_a ? some : tile.rows); ++row) {
        loops_.cast[1][0](from_a + row * p.a.pitch, a + row * a_columns, a_columns);
      }
      for (std::int64_t row = 0; row < (p.turned_b ? tile.columns : some); ++row) {
        loops_.cast[1][0](from_b + row * p.b.pitch, b + row * b_columns, b_columns);
      }
      const bool adds = l > 0 || (direct && p.add);
      const dnnl_status_t status =
          dnnl_sgemm(p.turned_a ? 'T' : 'N', p.turned_b ? 'T' : 'N', tile.rows, tile.columns, some, p.scale, a,
                     a_columns, b, b_columns, adds ? 1.0F : 0.0F, y, y_pitch);
      if (status != dnnl_success) failed = true;
    }
    if (direct) return;
    for (std::int64_t row = 0; row < tile.rows; ++row) {
      loops_.store_tile[1](1.0F, sums + row * tile.columns, at(p.y, tile.row + row, tile.column), p.add, tile.columns);
    }
  });
  if (failed) fail(Kind::internal, "dnnl_sgemm refused a product of {} and {}", p.a.dims.text(), p.b.dims.text());
}

const Products::Primitive& Products::primitive(const Problem& p, const Tile& tile, bool to_floats) {
  const std::int64_t y_pitch = to_floats ? tile.columns : p.y.pitch;
  const bool y_floats = to_floats || p.y.dtype == Dtype::f32;
  const bool adds = p.add && !to_floats;
  const PrimitiveKey key{tile.rows, tile.columns, p.length,   p.a.pitch, p.b.pitch,
                         y_pitch,   p.turned_a,   p.turned_b, y_floats,  adds};
  std::unique_ptr<Primitive>& found = primitives_[key];
  if (found) return *found;
  using dnnl::memory;
  const auto strides = [](bool turned, std::int64_t pitch) {
    return turned ? memory::dims{1, pitch} : memory::dims{pitch, 1};
  };
  // A team of one: the primitive is made for one thread, as it is run.
  Team(1).each(1, [&](std::int64_t, int) {
    const memory::desc a({tile.rows, p.length}, memory::data_type::bf16, strides(p.turned_a, p.a.pitch));
    const memory::desc b({p.length, tile.columns}, memory::data_type::bf16, strides(p.turned_b, p.b.pitch));
    const memory::desc y({tile.rows, tile.columns}, y_floats ? memory::data_type::f32 : memory::data_type::bf16,
                         memory::dims{y_pitch, 1});
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (adds) {
      dnnl::post_ops sum;
      sum.append_sum(1.0F);
      attributes.set_post_ops(sum);
    }
    const dnnl::matmul::primitive_desc description({a, b, y}, attributes, engine_);
    found = std::make_unique<Primitive>(Primitive{a, b, y, description.scratchpad_desc(), dnnl::matmul(description)});
  });
  return *found;
}

// One for each tile.
std::vector<const Products::Primitive*> Products::primitives_of(const Problem& p) {
  std::vector<const Primitive*> primitives;
  for (std::int64_t index = 0; index < p.tiles(); ++index) {
    primitives.push_back(&primitive(p, Tile(p, index), p.to_floats()));
  }
  return primitives;
}

// Floats of one thread: the sums of a tile where they are scaled, then oneDNN's own.
std::int64_t Products::native_room(const Problem& p, const std::vector<const Primitive*>& primitives) {
  std::size_t scratchpad = 0;
  for (const Primitive* primitive : primitives) scratchpad = std::max(scratchpad, primitive->scratchpad.get_size());
  return p.scaled_room() + round_up(static_cast<std::int64_t>(scratchpad / sizeof(float)) + 1, tile_step);
}

void Products::native(const Problem& p) {
  const bool to_floats = p.to_floats();
  const auto primitives = primitives_of(p);
  const std::int64_t room = native_room(p, primitives);
  const std::int64_t room_y = p.scaled_room();
  float* const workspace = workspace_.floats(room * team_.threads());
  std::atomic<bool> failed = false;
  team_.each(p.tiles(), [&](std::int64_t index, int thread) {
    const Tile tile(p, index);
    const Primitive& primitive = *primitives[static_cast<std::size_t>(index)];
    float* const sums = workspace + thread * room;
    void* const y = to_floats ? static_cast<void*>(sums) : at(p.y, tile.row, tile.column);
    try {
      const auto memory = [&](const dnnl::memory::desc& description, const void* data) {
        return dnnl::memory(description, engine_, const_cast<void*>(data));
      };
      primitive.matmul.execute(streams_[static_cast<std::size_t>(thread)],
                               {{DNNL_ARG_SRC, memory(primitive.a, tile.a(p))},
                                {DNNL_ARG_WEIGHTS, memory(primitive.b, tile.b(p))},
                                {DNNL_ARG_DST, memory(primitive.y, y)},
                                {DNNL_ARG_SCRATCHPAD, memory(primitive.scratchpad, sums + room_y)}});
    } catch (const dnnl::error&) {
      failed = true;
    }
    if (!to_floats) return;
    for (std::int64_t row = 0; row < tile.rows; ++row) {
      loops_.store_tile[storage(p.y)](p.scale, sums + row * tile.columns, at(p.y, tile.row + row, tile.column), p.add,
                                      tile.columns);
    }
  });
  if (failed) fail(Kind::internal, "oneDNN refused a bf16 product of {} and {}", p.a.dims.text(), p.b.dims.text());
}

}  // namespace hearth::cpu
