#pragma once
// Weights and tables in the layout of the engines.
#include <memory>
#include <vector>

#include "cpu/engine_types.h"

namespace srfast {

// Owns the storage that Packed points to.
struct PackedStorage {
  std::vector<float> w1, b1, w2, b2, w3, fold, half;
  Packed packed{};
};

void pack_weights(const SrcnnWeights& weights, int scale, PackedStorage& out);

struct TableStorage {
  std::vector<int32_t> down_rows, down_cols, lr_rows, lr_cols;
  Tables tables{};
};

// For whole planes: nothing is halo.
void make_tables(int scale, int64_t h, int64_t w, int boundary, TableStorage& out);

// Aligned, zeroed scratch for one thread and planes of up to h x w pixels.
class ScratchStorage {
 public:
  ScratchStorage(const Packed& k, int64_t h, int64_t w);
  ScratchStorage(const ScratchStorage&) = delete;
  ScratchStorage& operator=(const ScratchStorage&) = delete;
  Scratch scratch{};

 private:
  std::vector<unsigned char> memory_;
};

}  // namespace srfast
