// How near the filters of degradations come to their bounds, on one thread with AVX-512 (`make degrade-speed`): the
// least processor time of many turns. A bound is the products and sums at this processor's peak, measured here, and
// what a filter of one tap takes, which copies the image and turns it over and multiplies nearly nothing.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "core/api.h"

using namespace srfast;

namespace {

constexpr int kSide = 400, kPlanes = 3;
constexpr double kValues = double{kPlanes} * kSide * kSide;

double now() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return 1e3 * static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_nsec);
}

template <class F>
double least(int turns, F&& body) {
  double best = 1e30;
  for (int i = 0; i < turns; ++i) {
    const double begin = now();
    body();
    best = std::min(best, now() - begin);
  }
  return best;
}

typedef float Vec __attribute__((vector_size(64)));

// Products and sums a millisecond; 12 sums hide the time that one takes.
__attribute__((target("avx512f"))) double peak() {
  constexpr int turns = 20000;
  const Vec x = Vec{} + 0.5f;
  Vec a{}, b{}, c{}, d{}, e{}, f{}, g{}, h{}, i{}, j{}, k{}, l{};
  double best = 1e30;
  for (int turn = 0; turn < 60; ++turn) {
    const double begin = now();
    for (int n = 0; n < turns; ++n) {
#define SRFAST_STEP(sum)                                    \
  do {                                                      \
    Vec y;                                                  \
    asm volatile("vmulps %1, %1, %0" : "=v"(y) : "v"(x));   \
    asm volatile("vaddps %1, %0, %0" : "+v"(sum) : "v"(y)); \
  } while (0)
      SRFAST_STEP(a);
      SRFAST_STEP(b);
      SRFAST_STEP(c);
      SRFAST_STEP(d);
      SRFAST_STEP(e);
      SRFAST_STEP(f);
      SRFAST_STEP(g);
      SRFAST_STEP(h);
      SRFAST_STEP(i);
      SRFAST_STEP(j);
      SRFAST_STEP(k);
      SRFAST_STEP(l);
    }
    best = std::min(best, now() - begin);
  }
  return turns * 12 * 16 / best;
}

void show(const char* name, double taken, double bound) {
  std::printf("%s: %.3f ms, %.0f HR Mpixel/s; bound %.3f ms, %.0f: %.0f %%\n", name, taken,
              kSide * kSide * 1e-3 / taken, bound, kSide * kSide * 1e-3 / bound, 100 * bound / taken);
}

}  // namespace

int main() {
  if (!(supported_isas() >> kAvx512 & 1U)) return std::puts("this processor has no AVX-512"), 0;
  std::vector<float> image(static_cast<size_t>(kValues)), out(image.size());
  for (size_t i = 0; i < image.size(); ++i) image[i] = static_cast<float>(i * 7919 % 256);
  const Planes src{image.data(), kPlanes, kSide, kSide};
  const double rate = peak();
  std::printf("%.0f products and sums a nanosecond\n", rate * 1e-6);

  const auto separable = [&](int taps) {
    const std::vector<float> row(static_cast<size_t>(taps), 1.0f / static_cast<float>(taps));
    return least(200, [&] { degrade_separable_cpu(src, row.data(), taps, row.data(), taps, kAvx512, 1, out.data()); });
  };
  const auto square = [&](int taps) {
    const std::vector<float> kernel(static_cast<size_t>(taps * taps), 1.0f / static_cast<float>(taps * taps));
    return least(100, [&] { degrade_filter_cpu(src, kernel.data(), taps, taps, kAvx512, 1, out.data()); });
  };
  const double turned = separable(1), copied = square(1);
  for (const int taps : {13, 21, 51}) {
    std::printf("%d taps along each side, ", taps);
    show("round", separable(taps), turned + kValues * 2 * taps / rate);
  }
  show("21 x 21", square(21), copied + kValues * 441 / rate);
  const std::vector<float> row(51, 1.0f / 51);
  const double unsharp =
      least(100, [&] { degrade_unsharp_cpu(src, row.data(), 51, 0.5f, 10.0f, kAvx512, 1, out.data()); });
  show("unsharp mask of 51 taps", unsharp, 2 * (turned + kValues * 2 * 51 / rate));
  const uint32_t key[4] = {1, 2, 3, 4};
  for (const bool poisson : {false, true}) {
    const double taken = least(100, [&] {
      out = image;
      degrade_noise_cpu({out.data(), kPlanes, kSide, kSide}, poisson, 0.5f, false, key, 1, kAvx512, 1, out.data());
    });
    std::printf("%s noise: %.3f ms, %.0f HR Mpixel/s\n", poisson ? "Poisson" : "Gaussian", taken,
                kSide * kSide * 1e-3 / taken);
  }
}
