#pragma once
// Included by one source for each instruction set, which defines SRFAST_LOOPS (the name of its table) and SRFAST_LANES.
#include <cstring>

#ifdef SRFAST_X86
#include <immintrin.h>
#endif

#include "core/hd.h"
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

// Adds a row of the image to the sums of the rows First .. Last of the result: row r takes the weights r rows above k.
template <int Parts, int First, int Last>
SRFAST_INLINE void add_row(const float* row, const float* k, int kw, Vec (&a)[Parts], Vec (&b)[Parts], Vec (&c)[Parts],
                           Vec (&d)[Parts]) {
  for (int x = 0; x < kw; ++x) {
    Vec v[Parts];
#pragma GCC unroll 4
    for (int p = 0; p < Parts; ++p) v[p] = load(row + x + p * SRFAST_LANES);
    if constexpr (First <= 0 && 0 <= Last) {
#pragma GCC unroll 4
      for (int p = 0; p < Parts; ++p) a[p] += k[x] * v[p];
    }
    if constexpr (First <= 1 && 1 <= Last) {
#pragma GCC unroll 4
      for (int p = 0; p < Parts; ++p) b[p] += k[x - kw] * v[p];
    }
    if constexpr (First <= 2 && 2 <= Last) {
#pragma GCC unroll 4
      for (int p = 0; p < Parts; ++p) c[p] += k[x - 2 * kw] * v[p];
    }
    if constexpr (First <= 3 && 3 <= Last) {
#pragma GCC unroll 4
      for (int p = 0; p < Parts; ++p) d[p] += k[x - 3 * kw] * v[p];
    }
  }
}

// Four rows of a filter over Parts * SRFAST_LANES columns.
template <int Parts>
void filter_block(const float* src, int64_t stride, const float* kernel, int kh, int kw, float* out,
                  int64_t out_stride) {
  Vec a[Parts] = {}, b[Parts] = {}, c[Parts] = {}, d[Parts] = {};
  const float* k = kernel + 3 * kw;
  const auto row = [&]<int First, int Last>() __attribute__((always_inline)) {
    add_row<Parts, First, Last>(src, k, kw, a, b, c, d);
    src += stride, k += kw;
  };
  if (kh >= 3) {  // a product with 0 changes no sum, and is left out
    row.template operator()<0, 0>();
    row.template operator()<0, 1>();
    row.template operator()<0, 2>();
    for (int s = 3; s < kh; ++s) row.template operator()<0, 3>();
    row.template operator()<1, 3>();
    row.template operator()<2, 3>();
    row.template operator()<3, 3>();
  } else {
    for (int s = 0; s < kh + 3; ++s) row.template operator()<0, 3>();
  }
  std::memcpy(out, a, sizeof a);
  std::memcpy(out + out_stride, b, sizeof b);
  std::memcpy(out + 2 * out_stride, c, sizeof c);
  std::memcpy(out + 3 * out_stride, d, sizeof d);
}

void filter_rows(const float* src, int64_t stride, const float* kernel, int kh, int kw, int64_t n, float* out,
                 int64_t out_stride) {
  static_assert(kFilterColumns % SRFAST_LANES == 0 && kFilterRows == 4);
  int64_t j = 0;
  for (; j + SRFAST_PARTS * SRFAST_LANES <= n; j += SRFAST_PARTS * SRFAST_LANES)
    filter_block<SRFAST_PARTS>(src + j, stride, kernel, kh, kw, out + j, out_stride);
  for (; j + 2 * SRFAST_LANES <= n; j += 2 * SRFAST_LANES)
    filter_block<2>(src + j, stride, kernel, kh, kw, out + j, out_stride);
  if (j < n) filter_block<1>(src + j, stride, kernel, kh, kw, out + j, out_stride);
}

typedef uint64_t Wide __attribute__((vector_size(SRFAST_LANES * 4)));
typedef uint32_t Narrow __attribute__((vector_size(SRFAST_LANES * 2)));

// Of the lower halves of 64 bits. (GCC 12 makes three multiplications of the plain expression.)
inline Wide product(Wide x, uint64_t factor) {
#if defined(__AVX512F__)
  return reinterpret_cast<Wide>(_mm512_mul_epu32(reinterpret_cast<__m512i>(x), _mm512_set1_epi64(int64_t(factor))));
#elif defined(__AVX2__)
  return reinterpret_cast<Wide>(_mm256_mul_epu32(reinterpret_cast<__m256i>(x), _mm256_set1_epi64x(int64_t(factor))));
#elif defined(__SSE2__)
  return reinterpret_cast<Wide>(_mm_mul_epu32(reinterpret_cast<__m128i>(x), _mm_set1_epi64x(int64_t(factor))));
#else
  return (x & 0xffffffffU) * factor;
#endif
}

// Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (2011). Words are the lower halves of 64 bits.
void words(const uint32_t key[2], const uint32_t counter[2], uint32_t slot, uint32_t first, uint32_t* out) {
  constexpr int kLanes = SRFAST_LANES / 2, kBlocks = 16;
  for (int begin = 0; begin < kBlocks; begin += 2 * kLanes) {
    uint64_t number[2 * kLanes];
    for (int l = 0; l < 2 * kLanes; ++l) number[l] = first + static_cast<uint64_t>(begin + l);
    Wide a[2], b[2], c[2], d[2];
    std::memcpy(a, number, sizeof a);
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) b[v] = Wide{} + slot, c[v] = Wide{} + counter[0], d[v] = Wide{} + counter[1];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; ++round) {
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) {
        const Wide p = product(a[v], 0xD2511F53), q = product(c[v], 0xCD9E8D57);
        a[v] = (q >> 32) ^ b[v] ^ k0;
        c[v] = (p >> 32) ^ d[v] ^ k1;
        b[v] = q;
        d[v] = p;
      }
      k0 += 0x9E3779B9U;
      k1 += 0xBB67AE85U;
    }
    for (int v = 0; v < 2; ++v) {
      uint32_t* to = out + begin + v * kLanes;
      const Wide words[] = {a[v], b[v], c[v], d[v]};
      for (const Wide& word : words) {
        const Narrow low = __builtin_convertvector(word, Narrow);
        std::memcpy(to, &low, sizeof low);
        to += kBlocks;
      }
    }
  }
}

// The first bit of a word is the sign, the others are the probability beyond the value: (k + 1/2) / 2^32. Its exponent
// and the first bits of its mantissa number the piece of the table.
void normals(const NormalTable& table, const uint32_t* words, int64_t n, float* out) {
  for (int64_t first = 0; first < n; first += kNoiseBlock, words += kNoiseBlock, out += kNoiseBlock) {
    int32_t number[kNoiseBlock];
    float rest[kNoiseBlock];
    NormalPiece piece[kNoiseBlock];
    for (int64_t i = 0; i < kNoiseBlock; ++i) {
      const float k = static_cast<float>(static_cast<int32_t>(words[i] & 0x7fffffffU)) + 0.5f;
      int32_t bits;
      std::memcpy(&bits, &k, sizeof bits);
      number[i] = (bits >> 17) - (126 << 6);
      rest[i] = static_cast<float>(bits & 0x1ffff) * 0x1p-17f;
    }
    for (int64_t i = 0; i < kNoiseBlock; ++i) piece[i] = table.piece[number[i]];
    for (int64_t i = 0; i < kNoiseBlock; ++i) {
      const float x = piece[i].value + piece[i].growth * rest[i];
      uint32_t bits;
      std::memcpy(&bits, &x, sizeof bits);
      bits ^= words[i] & 0x80000000U;
      std::memcpy(out + i, &bits, sizeof bits);
    }
  }
}

void add_noise(const float* noise, float strength, int64_t n, float* image) {
  for (int64_t i = 0; i < n; ++i) {
    const float v = image[i] + strength * noise[i];
    image[i] = v < 0.0f ? 0.0f : v > 255.0f ? 255.0f : v;
  }
}

void poissons(const PoissonTable& table, const uint32_t* words, const float* levels, int64_t n, float* out) {
  for (int64_t first = 0; first < n; first += kNoiseBlock, words += kNoiseBlock, levels += kNoiseBlock) {
    int32_t level[kNoiseBlock], base[kNoiseBlock];
    uint32_t entry[kNoiseBlock];
    for (int64_t i = 0; i < kNoiseBlock; ++i) {
      float v = levels[i] > 0.0f ? levels[i] : 0.0f;
      v = v < 255.0f ? v : 255.0f;
      level[i] = static_cast<int32_t>(v + 0.5f);
    }
    for (int64_t i = 0; i < kNoiseBlock; ++i) {
      entry[i] = table.entry[static_cast<uint32_t>(level[i]) * 256 + (words[i] >> 24)];
      base[i] = table.base[level[i]];
    }
    for (int64_t i = 0; i < kNoiseBlock; ++i) {
      const auto column = static_cast<int32_t>(words[i] >> 24), other = static_cast<int32_t>(entry[i] & 255U);
      const int32_t drawn = base[i] + ((words[i] & 0xffffffU) < (entry[i] >> 8) ? column : other);
      out[first + i] = static_cast<float>(drawn) * (255.0f / 256.0f) - static_cast<float>(level[i]);
    }
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

const DegradeLoops SRFAST_LOOPS = {weighted_rows, filter_rows, words, normals, poissons, add_noise, differs, sharpen};

}  // namespace srfast
