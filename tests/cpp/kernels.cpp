#include "kernels.h"

#include "host_cuda.h"
// after host_cuda.h, which stands in for the intrinsics
#include "core/api.h"
#include "cuda/degrade.cuh"
#include "cuda/per_sample_mse.cuh"

namespace srfast {
namespace {

constexpr int kFloat16 = 3, kBFloat16 = 4;  // cuda/launch.h

struct BFloat16 {
  uint16_t bits;
};

}  // namespace

template <>
float narrow<float>(float value) {
  return value;
}
template <>
_Float16 narrow<_Float16>(float value) {
  return static_cast<_Float16>(value);
}
template <>
BFloat16 narrow<BFloat16>(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return {static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}

template <>
float widen<float>(float value) {
  return value;
}
template <>
float widen<uint8_t>(uint8_t value) {
  return value;
}
template <>
float widen<_Float16>(_Float16 value) {
  return static_cast<float>(value);
}
template <>
float widen<BFloat16>(BFloat16 value) {
  const uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
  float result;
  std::memcpy(&result, &bits, 4);
  return result;
}

namespace {

template <int S, class T>
void degrade(DegradeArgs args, unsigned threads) {
  choose_tiles<S>(args);
  const auto blocks = static_cast<unsigned>(args.n * args.tiles_y * args.tiles_x);
  host_cuda::launch(blocks, threads, static_cast<size_t>(shared_bytes<S>(args)),
                    [&](unsigned char* shared) { degrade_block<S, T>(args, shared); });
}

template <int S>
void degrade(const DegradeArgs& args, int up_type, unsigned threads) {
  if (up_type == kFloat32) degrade<S, float>(args, threads);
  if (up_type == kFloat16) degrade<S, _Float16>(args, threads);
  if (up_type == kBFloat16) degrade<S, BFloat16>(args, threads);
}

template <int S>
int64_t tiles(int64_t h, int64_t w) {
  DegradeArgs args{};
  args.h = static_cast<int>(h);
  args.w = static_cast<int>(w);
  choose_tiles<S>(args);
  return static_cast<int64_t>(args.tiles_y) * args.tiles_x;
}

template <class A, class B>
void mse(const void* a, const void* b, int64_t n, int64_t length, float* out, unsigned threads) {
  const int64_t chunks = mse_chunks(length);
  const bool fours = length % 4 == 0 && reinterpret_cast<uintptr_t>(a) % (4 * sizeof(A)) == 0 &&
                     reinterpret_cast<uintptr_t>(b) % (4 * sizeof(B)) == 0;
  std::vector<double> sums(static_cast<size_t>(n * chunks));
  host_cuda::launch(static_cast<unsigned>(n * chunks), threads, sizeof(double) * kThreads / kWarp,
                    [&](unsigned char* shared) {
                      mse_block(static_cast<const A*>(a), static_cast<const B*>(b), length, chunks, fours, sums.data(),
                                reinterpret_cast<double*>(shared));
                    });
  host_cuda::launch((static_cast<unsigned>(n) + threads - 1) / threads, threads, 1,
                    [&](unsigned char*) { mse_finish(sums.data(), n, length, chunks, out); });
}

}  // namespace
}  // namespace srfast

using namespace srfast;

int64_t host_degrade_tiles(int64_t h, int64_t w, int scale) {
  return scale == 2 ? tiles<2>(h, w) : scale == 3 ? tiles<3>(h, w) : tiles<4>(h, w);
}

void host_degrade(const uint8_t* pixels, const int64_t* offsets, const int64_t* row_strides, int64_t n, int64_t h,
                  int64_t w, int channels, int scale, int boundary, int up_type, uint8_t* y, uint8_t* lr, void* up,
                  double* sums, int threads) {
  DegradeArgs args{};
  args.pixels = pixels;
  args.offsets = offsets;
  args.row_strides = row_strides;
  args.n = n;
  args.h = static_cast<int>(h);
  args.w = static_cast<int>(w);
  args.channels = channels;
  args.boundary = boundary;
  args.y = y;
  args.lr = lr;
  args.up = up;
  args.sums = sums;
  if (scale == 2) degrade<2>(args, up_type, static_cast<unsigned>(threads));
  if (scale == 3) degrade<3>(args, up_type, static_cast<unsigned>(threads));
  if (scale == 4) degrade<4>(args, up_type, static_cast<unsigned>(threads));
}

void host_per_sample_mse(const void* a, int a_type, const void* b, int b_type, int64_t n, int64_t length, float* out,
                         int threads) {
  const auto t = static_cast<unsigned>(threads);
  if (a_type == kFloat32 && b_type == kFloat32) mse<float, float>(a, b, n, length, out, t);
  if (a_type == kFloat32 && b_type == kUInt8) mse<float, uint8_t>(a, b, n, length, out, t);
  if (a_type == kFloat16 && b_type == kUInt8) mse<_Float16, uint8_t>(a, b, n, length, out, t);
  if (a_type == kBFloat16 && b_type == kUInt8) mse<BFloat16, uint8_t>(a, b, n, length, out, t);
}
