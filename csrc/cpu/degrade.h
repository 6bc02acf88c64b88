#pragma once
// The loops of a degradation that take the time, compiled for each instruction set. All of them give the same bits:
// each value is made of the same float32 operations in the same order.
#include <cstdint>

namespace srfast {

constexpr int64_t kFilterRows = 4;      // rows that filter_rows makes at a time
constexpr int64_t kFilterColumns = 16;  // of whose multiples it makes columns
constexpr int64_t kFilterBlock = 64;    // columns whose rows stay in the first-level cache
constexpr int64_t kNoiseBlock = 64;     // pixels of a row that share 16 blocks of random words

constexpr int kNormalPieces = 64;  // of an octave of probabilities
constexpr int kNormalOctaves = 33;

struct NormalPiece {  // quantile at its beginning, and the growth over it
  float value, growth;
};

struct NormalTable {
  NormalPiece piece[kNormalPieces * kNormalOctaves];
};

struct PoissonTable {  // of 256 means; entry: threshold (24 bits), then the other column (8 bits)
  uint32_t entry[256 * 256];
  int32_t base[256];
};

struct DegradeLoops {
  // out[j] = sum_k weights[k] rows[k][j], k ascending.
  void (*weighted_rows)(const float* const* rows, const float* weights, int taps, int64_t n, float* out);
  // Four rows of a filter of kh x kw taps, over columns 0..n-1, n a multiple of kFilterColumns. kernel is led and
  // followed by kFilterRows - 1 rows of zeros.
  void (*filter_rows)(const float* src, int64_t stride, const float* kernel, int kh, int kw, int64_t n, float* out,
                      int64_t out_stride);
  // Words of Philox4x32-10 for 64 pixels: word x / 16 of block first + x % 16.
  void (*words)(const uint32_t key[2], const uint32_t counter[2], uint32_t slot, uint32_t first, uint32_t* out);
  // Standard normal values of n words, n a multiple of kNoiseBlock.
  void (*normals)(const NormalTable& table, const uint32_t* words, int64_t n, float* out);
  // Poisson values of mean 256 v / 255 over 256, minus v / 255, in grey levels, where v is a level rounded to 0..255;
  // n as for normals.
  void (*poissons)(const PoissonTable& table, const uint32_t* words, const float* levels, int64_t n, float* out);
  // image + strength noise, clamped.
  void (*add_noise)(const float* noise, float strength, int64_t n, float* image);
  // 1 where two values differ by more than the threshold, else 0.
  void (*differs)(const float* x, const float* y, float threshold, int64_t n, float* out);
  // x + amount (x - blurred), clamped, to the share out, and x to the rest.
  void (*sharpen)(const float* x, const float* blurred, float amount, int64_t n, float* out);
};

extern const DegradeLoops degrade_loops_baseline, degrade_loops_avx2, degrade_loops_avx512;

}  // namespace srfast
