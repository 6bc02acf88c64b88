#pragma once
// Included by one source for each instruction set, which defines SRFAST_LOOPS (the name of its table) and SRFAST_LANES.
#include <cstring>

#include "cpu/degrade.h"

namespace srfast {
namespace {

typedef float Vec __attribute__((vector_size(SRFAST_LANES * 4)));

inline Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

void weighted_rows(const float* const* rows, const float* weights, int taps, int64_t n, float* out) {
  constexpr int kParts = 4;
  constexpr int64_t kWide = kParts * SRFAST_LANES;
  int64_t j = 0;
  for (; j + kWide <= n; j += kWide) {
    Vec sum[kParts] = {};
    for (int k = 0; k < taps; ++k) {
      const float* const row = rows[k] + j;
#pragma GCC unroll 4
      for (int p = 0; p < kParts; ++p) sum[p] += weights[k] * load(row + p * SRFAST_LANES);
    }
    std::memcpy(out + j, sum, sizeof sum);
  }
  for (; j < n; ++j) {
    float sum = 0;
    for (int k = 0; k < taps; ++k) sum += weights[k] * rows[k][j];
    out[j] = sum;
  }
}

void filter_rows(const float* src, int64_t stride, const float* kernel, int kh, int kw, int64_t n, float* out,
                 int64_t out_stride) {
  constexpr int kParts = SRFAST_PARTS;
  constexpr int64_t kWide = kParts * SRFAST_LANES;
  static_assert(kFilterColumns % kWide == 0 && kFilterRows == 4);
  for (int64_t j = 0; j < n; j += kWide) {
    Vec a[kParts] = {}, b[kParts] = {}, c[kParts] = {}, d[kParts] = {};
    for (int s = 0; s < kh + 3; ++s) {
      const float* const row = src + s * stride + j;
      const float* const k = kernel + (s + 3) * kw;
      for (int x = 0; x < kw; ++x) {
        Vec v[kParts];
#pragma GCC unroll 4
        for (int p = 0; p < kParts; ++p) v[p] = load(row + x + p * SRFAST_LANES);
#pragma GCC unroll 4
        for (int p = 0; p < kParts; ++p) a[p] += k[x] * v[p];
#pragma GCC unroll 4
        for (int p = 0; p < kParts; ++p) b[p] += k[x - kw] * v[p];
#pragma GCC unroll 4
        for (int p = 0; p < kParts; ++p) c[p] += k[x - 2 * kw] * v[p];
#pragma GCC unroll 4
        for (int p = 0; p < kParts; ++p) d[p] += k[x - 3 * kw] * v[p];
      }
    }
    std::memcpy(out + j, a, sizeof a);
    std::memcpy(out + out_stride + j, b, sizeof b);
    std::memcpy(out + 2 * out_stride + j, c, sizeof c);
    std::memcpy(out + 3 * out_stride + j, d, sizeof d);
  }
}

// Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (2011).
void words(const uint32_t key[2], const uint32_t counter[2], uint32_t slot, uint32_t first, uint32_t* out) {
  constexpr int kBlocks = 16;
  uint32_t a[kBlocks], b[kBlocks], c[kBlocks], d[kBlocks];
  for (int l = 0; l < kBlocks; ++l)
    a[l] = first + static_cast<uint32_t>(l), b[l] = slot, c[l] = counter[0], d[l] = counter[1];
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; ++round) {
    for (int l = 0; l < kBlocks; ++l) {
      const uint64_t p = 0xD2511F53ULL * a[l], q = 0xCD9E8D57ULL * c[l];
      const uint32_t next_a = static_cast<uint32_t>(q >> 32) ^ b[l] ^ k0;
      const uint32_t next_c = static_cast<uint32_t>(p >> 32) ^ d[l] ^ k1;
      b[l] = static_cast<uint32_t>(q);
      d[l] = static_cast<uint32_t>(p);
      a[l] = next_a;
      c[l] = next_c;
    }
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  std::memcpy(out, a, sizeof a);
  std::memcpy(out + 16, b, sizeof b);
  std::memcpy(out + 32, c, sizeof c);
  std::memcpy(out + 48, d, sizeof d);
}

// The first bit of a word is the sign, the others are the probability beyond the value: (k + 1/2) / 2^32. Its exponent
// and the first bits of its mantissa number the piece of the table.
void normals(const NormalTable& table, const uint32_t* words, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) {
    const float k = static_cast<float>(static_cast<int32_t>(words[i] & 0x7fffffffU)) + 0.5f;
    int32_t bits;
    std::memcpy(&bits, &k, sizeof bits);
    const int32_t piece = (bits >> 17) - (126 << 6);
    const float rest = static_cast<float>(bits & 0x1ffff) * 0x1p-17f;
    const float x = table.value[piece] + table.growth[piece] * rest;
    out[i] = words[i] >> 31 ? -x : x;
  }
}

void poissons(const PoissonTable& table, const uint32_t* words, const float* levels, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) {
    float v = levels[i] > 0.0f ? levels[i] : 0.0f;
    v = v < 255.0f ? v : 255.0f;
    const int32_t level = static_cast<int32_t>(v + 0.5f);
    const int32_t column = static_cast<int32_t>(words[i] >> 24);
    const uint32_t entry = table.entry[level * 256 + column];
    const int32_t other = static_cast<int32_t>(entry & 255U);
    const int32_t drawn = table.base[level] + ((words[i] & 0xffffffU) < (entry >> 8) ? column : other);
    out[i] = static_cast<float>(drawn) * (255.0f / 256.0f) - static_cast<float>(level);
  }
}

void differs(const float* x, const float* y, float threshold, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) {
    const float d = x[i] - y[i];
    out[i] = (d > threshold) | (d < -threshold) ? 1.0f : 0.0f;
  }
}

void sharpen(const float* x, const float* blurred, float amount, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) {
    float sharp = x[i] + amount * (x[i] - blurred[i]);
    sharp = sharp < 0.0f ? 0.0f : sharp;
    sharp = sharp > 255.0f ? 255.0f : sharp;
    out[i] = out[i] * sharp + (1.0f - out[i]) * x[i];
  }
}

}  // namespace

const DegradeLoops SRFAST_LOOPS = {weighted_rows, filter_rows, words, normals, poissons, differs, sharpen};

}  // namespace srfast
