#pragma once
// The bicubic filter for the integer scales 2, 3, 4 as exact integers. cubic(q / 2s) = cubic_numerator(q, s) / 16 s^3,
// and every distance between an LR and an HR pixel centre is a multiple of 1 / 2s (of 1 / s for s = 3, where numerator
// and denominator share the factor 8).
#include <cstdint>

#include "core/bicubic.h"
#include "core/hd.h"

namespace srfast {

// cubic() of core/bicubic.h at q / (2 s), times 16 s^3; q >= 0.
SRFAST_HD constexpr int cubic_numerator(int q, int s) {
  if (q <= 2 * s) return 3 * q * q * q - 10 * s * q * q + 16 * s * s * s;
  if (q <= 4 * s) return -q * q * q + 10 * s * q * q - 32 * s * s * q + 32 * s * s * s;
  return 0;
}

template <int S>
struct Filter {
  static constexpr int kShared = S == 3 ? 8 : 1;
  static constexpr int kReach = 3 * S / 2;          // HR pixels before the S that an LR pixel covers
  static constexpr int kDownTaps = 2 * kReach + S;  // 8, 11, 16
  static constexpr int kDownDenominator = 16 * S * S * S * S / kShared;  // 256, 162, 4096
  static constexpr int kUpTaps = 5;                                      // LR pixels i - 2 .. i + 2; one or two weigh 0
  static constexpr int kUpDenominator = 16 * S * S * S / kShared;        // 128, 54, 1024

  // LR pixel i takes HR pixel S i - kReach + k, k < kDownTaps, with this weight over kDownDenominator.
  SRFAST_HD static constexpr int down(int k) {
    const int q = 2 * (k - kReach) - S + 1;
    return cubic_numerator(q < 0 ? -q : q, S) / kShared;
  }

  // HR pixel S i + phase takes LR pixel i - 2 + k, k < kUpTaps, with this weight over kUpDenominator.
  SRFAST_HD static constexpr int up(int phase, int k) {
    const int q = 2 * S * (k - 2) - (2 * phase + 1 - S);
    return cubic_numerator(q < 0 ? -q : q, S) / kShared;
  }

  // The first of the four taps of a phase that are not all zero: of its five, one at an end is.
  SRFAST_HD static constexpr int first_up(int phase) { return up(phase, 0) == 0 ? 1 : 0; }

  // sum / kDownDenominator, rounded half up and clamped to 0..255.
  SRFAST_HD static uint32_t round_uint8(int sum) {
    const int shifted = sum + kDownDenominator / 2;
    const int value = shifted < 0 ? 0 : shifted / kDownDenominator;
    return static_cast<uint32_t>(value > 255 ? 255 : value);
  }

  // sum / kUpDenominator^2, rounded once. |sum| < 2^31: 255 * (1.25 * 1024)^2 at scale 4.
  SRFAST_HD static float to_float(int sum) {
    constexpr float kSquare = static_cast<float>(kUpDenominator) * static_cast<float>(kUpDenominator);
    return static_cast<float>(sum) / kSquare;
  }
};

}  // namespace srfast
