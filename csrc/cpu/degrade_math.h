#pragma once
// Elementary functions of additions, multiplications, divisions and square roots alone, which IEEE 754 fixes to the
// bit: those of a C library differ between processors in their last bit. Relative errors are below 1e-14.
#include <cmath>
#include <cstdint>
#include <cstring>

namespace srfast::fixed {

inline double scaled(double x, int power) {  // x 2^power, for results that are normal numbers
  uint64_t bits = static_cast<uint64_t>(1023 + power) << 52;
  double factor;
  std::memcpy(&factor, &bits, sizeof factor);
  return x * factor;
}

// e^x; 0 below -700. Taylor's series after the removal of whole powers of 2.
inline double exp(double x) {
  if (x < -700.0) return 0.0;
  const double k = std::floor(x * 1.4426950408889634 + 0.5);
  const double r = (x - k * 0x1.62e42feep-1) - k * 0x1.a39ef35793c76p-33;
  double sum = 1.0;
  for (int n = 14; n >= 1; --n) sum = 1.0 + sum * r / n;
  return scaled(sum, static_cast<int>(k));
}

// The natural logarithm of a positive, normal number: 2 atanh((m - 1) / (m + 1)) of its mantissa.
inline double log(double x) {
  uint64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  int power = static_cast<int>(bits >> 52) - 1023;
  bits = (bits & 0xfffffffffffffULL) | 0x3ff0000000000000ULL;
  double m;
  std::memcpy(&m, &bits, sizeof m);
  if (m > 1.4142135623730951) m *= 0.5, ++power;
  const double s = (m - 1.0) / (m + 1.0), q = s * s;
  double sum = 0.0;
  for (int n = 25; n >= 1; n -= 2) sum = sum * q + 1.0 / n;
  return 2.0 * s * sum + power * 0.6931471805599453;
}

inline double pow(double x, double y) { return x <= 0.0 ? 0.0 : fixed::exp(y * fixed::log(x)); }

constexpr double kPi = 3.141592653589793;

// sin(x) for |x| <= 64: Taylor's series after the removal of multiples of pi.
inline double sin(double x) {
  const double k = std::floor(x / kPi + 0.5);
  const double r = (x - k * 0x1.921fb544p+1) - k * 0x1.0b4611a626331p-33, q = r * r;
  double sum = 1.0;
  for (int n = 20; n >= 2; n -= 2) sum = 1.0 - sum * q / (n * (n + 1));
  const double value = r * sum;
  return std::fmod(k, 2.0) == 0.0 ? value : -value;
}

inline double cos(double x) { return fixed::sin(x + kPi / 2); }

// Bessel's J1(x), 0 < x <= 64, by Miller's backward recurrence, scaled by J0 + 2 (J2 + J4 + ...) = 1.
inline double j1(double x) {
  constexpr int first = 120;
  double above = 0.0, here = 1e-250, sum = 0.0, one = 0.0;
  for (int n = first; n > 0; --n) {  // here = J_n, above = J_n+1
    if (n % 2 == 0) sum += 2.0 * here;
    if (n == 1) one = here;
    const double below = 2.0 * n / x * here - above;
    above = here;
    here = below;
    if (here > 1e200 || here < -1e200) here *= 1e-200, above *= 1e-200, sum *= 1e-200, one *= 1e-200;
  }
  return one / (sum + here);
}

// Probability of a standard normal value above x >= 0; absolute error 1e-16.
inline double tail(double x) {
  double term = x, sum = x;
  for (int n = 3; term > 1e-18 * sum && n < 400; n += 2) term *= x * x / n, sum += term;
  return 0.5 - 0.3989422804014327 * fixed::exp(-0.5 * x * x) * sum;
}

}  // namespace srfast::fixed
