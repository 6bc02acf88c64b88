#include <climits>

#include "cuda/degrade.cuh"
#include "cuda/launch.h"
#include "cuda/numbers.cuh"

namespace srfast {
namespace {

template <int S, class T>
__global__ void __launch_bounds__(kThreads) degrade_kernel(const DegradeArgs args) {
  extern __shared__ __align__(16) unsigned char shared[];
  degrade_block<S, T>(args, shared);
}

template <int S, class T>
cudaError_t launch(DegradeArgs args, cudaStream_t stream) {
  choose_tiles<S>(args);
  const int64_t blocks = args.n * args.tiles_y * args.tiles_x;
  if (blocks > INT_MAX) return cudaErrorInvalidConfiguration;
  const int bytes = shared_bytes<S>(args);
  constexpr int kDefaultLimit = 48 * 1024;
  if (bytes > kDefaultLimit) {
    const cudaError_t status =
        cudaFuncSetAttribute(degrade_kernel<S, T>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    if (status != cudaSuccess) return status;
  }
  degrade_kernel<S, T><<<static_cast<unsigned>(blocks), kThreads, static_cast<size_t>(bytes), stream>>>(args);
  return cudaGetLastError();
}

template <int S>
cudaError_t dispatch(const DegradeArgs& args, int up_type, cudaStream_t stream) {
  switch (up_type) {
    case kFloat32:
      return launch<S, float>(args, stream);
    case kFloat16:
      return launch<S, __half>(args, stream);
    case kBFloat16:
      return launch<S, __nv_bfloat16>(args, stream);
    default:
      return cudaErrorInvalidValue;
  }
}

template <int S>
int64_t count_tiles(int64_t h, int64_t w) {
  DegradeArgs args{};
  args.h = static_cast<int>(h);
  args.w = static_cast<int>(w);
  choose_tiles<S>(args);
  return static_cast<int64_t>(args.tiles_y) * args.tiles_x;
}

}  // namespace

int64_t degrade_tiles(int64_t h, int64_t w, int scale) {
  switch (scale) {
    case 2:
      return count_tiles<2>(h, w);
    case 3:
      return count_tiles<3>(h, w);
    default:
      return count_tiles<4>(h, w);
  }
}

cudaError_t load_degrade() {
  cudaFuncAttributes attributes;
  return cudaFuncGetAttributes(&attributes, degrade_kernel<2, float>);
}

cudaError_t launch_degrade(const Windows& windows, int scale, int boundary, int up_type, uint8_t* y, uint8_t* lr,
                           void* up, double* sums, cudaStream_t stream) {
  const auto& [pixels, offsets, row_strides, n, h, w, channels] = windows;
  if (n == 0) return cudaSuccess;
  if (h <= 0 || w <= 0 || h > INT_MAX / w / channels || h % scale || w % scale) return cudaErrorInvalidValue;
  if ((offsets == nullptr) != (row_strides == nullptr)) return cudaErrorInvalidValue;
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
  switch (scale) {
    case 2:
      return dispatch<2>(args, up_type, stream);
    case 3:
      return dispatch<3>(args, up_type, stream);
    case 4:
      return dispatch<4>(args, up_type, stream);
    default:
      return cudaErrorInvalidValue;
  }
}

}  // namespace srfast
