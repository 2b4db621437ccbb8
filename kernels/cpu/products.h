// Matrix products: cut into tiles by shape alone, each tile one single-threaded call of oneDNN.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/loops.h"
#include "kernels/cpu/team.h"
#include "kernels/cpu/workspace.h"

namespace hearth::cpu {

/// Whether oneDNN multiplies bf16 natively here (the processor has it and ONEDNN_MAX_CPU_ISA allows it).
bool native_bf16_products();

class Products {
 public:
  Products(const Team& team, const Loops& loops, Memory& memory, Bf16Products bf16);
  ~Products();

  /// As Ops::matmul.
  void matmul(In a, Turn turn_a, In b, Turn turn_b, float scale, Write write, Out y);
  /// What a product of this shape asks of the workspace.
  std::int64_t workspace_floats(const ProductShape& shape);

 private:
  struct Problem;
  struct Tile;
  struct Primitive;
  using PrimitiveKey = std::array<std::int64_t, 10>;

  std::vector<const Primitive*> primitives_of(const Problem& problem);
  static std::int64_t native_room(const Problem& problem, const std::vector<const Primitive*>& primitives);

  void few(const Problem& problem);
  void exact(const Problem& problem);
  void widened(const Problem& problem);
  void native(const Problem& problem);
  const Primitive& primitive(const Problem& problem, const Tile& tile, bool to_floats);

  const Team& team_;
  const Loops& loops_;
  Bf16Products bf16_;
  Workspace workspace_;
  dnnl::engine engine_;
  std::vector<dnnl::stream> streams_;  // one for each thread
  std::map<PrimitiveKey, std::unique_ptr<Primitive>> primitives_;
};

}  // namespace hearth::cpu
