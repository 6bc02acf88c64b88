#pragma once
// The instructions of score_int_avx512.cpp in plain C++; included inside the engine's namespace.
SRFAST_INLINE void dot1(Ints& sums, Ints pixels, Ints weights) {
  uint8_t x[4 * L];
  int8_t w[4 * L];
  std::memcpy(x, &pixels, sizeof x);
  std::memcpy(w, &weights, sizeof w);
  for (int i = 0; i < 4 * L; ++i) sums[i / 4] += x[i] * w[i];
}

SRFAST_INLINE void dot2(Ints& sums, Ints a, Ints b) {
  int16_t x[2 * L], w[2 * L];
  std::memcpy(x, &a, sizeof x);
  std::memcpy(w, &b, sizeof w);
  for (int i = 0; i < 2 * L; ++i)
    sums[i / 2] = static_cast<int32_t>(static_cast<uint32_t>(sums[i / 2]) + static_cast<uint32_t>(x[i] * w[i]));
}

// vpackusdw: by quarters of the vector, four words of a, then four of b.
SRFAST_INLINE void dot2_pair(Ints& sums, Ints pair, Ints weights) { dot2(sums, pair, weights); }

SRFAST_INLINE Ints narrow(Ints a, Ints b) {
  uint16_t words[2 * L];
  for (int i = 0; i < 2 * L; ++i) {
    const int32_t v = (i % 8 < 4 ? a : b)[i / 8 * 4 + i % 4];
    words[i] = static_cast<uint16_t>(v < 0 ? 0 : (v > 65535 ? 65535 : v));
  }
  Ints out;
  std::memcpy(&out, words, sizeof out);
  return out;
}
