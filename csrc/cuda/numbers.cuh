#pragma once
// narrow() and widen() of device.cuh for CUDA's types.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "cuda/device.cuh"

namespace srfast {

template <>
SRFAST_DEVICE float narrow<float>(float value) {
  return value;
}
template <>
SRFAST_DEVICE __half narrow<__half>(float value) {
  return __float2half_rn(value);
}
template <>
SRFAST_DEVICE __nv_bfloat16 narrow<__nv_bfloat16>(float value) {
  return __float2bfloat16_rn(value);
}

template <>
SRFAST_DEVICE float widen<float>(float value) {
  return value;
}
template <>
SRFAST_DEVICE float widen<uint8_t>(uint8_t value) {
  return value;
}
template <>
SRFAST_DEVICE float widen<__half>(__half value) {
  return __half2float(value);
}
template <>
SRFAST_DEVICE float widen<__nv_bfloat16>(__nv_bfloat16 value) {
  return __bfloat162float(value);
}

}  // namespace srfast
