// Reduced precision on AVX2 with AVX-VNNI: the instructions of score_int_avx512.cpp on half the lanes.
#define SRFAST_ENGINE engine_int_avxvnni
#define SRFAST_LANES 8
#include <immintrin.h>

#include "cpu/int_weights.h"
#include "cpu/score_engine.h"

namespace srfast {
namespace engine_int_avxvnni {
namespace {

using Pixel = uint8_t;
using Tap = int8_t;
constexpr IntLayout kLayout{8, 16, 16, 4, false, false};

// The encoding of machines without AVX-512.
SRFAST_INLINE void dot1(Ints& sums, Ints pixels, Ints weights) {
  __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sums) : "x"(pixels), "x"(weights));
}
SRFAST_INLINE void dot2(Ints& sums, Ints a, Ints b) {
  __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sums) : "x"(a), "x"(b));
}
SRFAST_INLINE void dot2_pair(Ints& sums, Ints pair, Ints weights) { dot2(sums, pair, weights); }
SRFAST_INLINE Ints narrow(Ints a, Ints b) { return (Ints)_mm256_packus_epi32((__m256i)a, (__m256i)b); }

}  // namespace
}  // namespace engine_int_avxvnni
}  // namespace srfast

#include "cpu/int_engine.h"

SRFAST_EXPORT_INT_ENGINE(avx2, avxvnni)
