#pragma once
// CUDA's execution model on the CPU, for kernel bodies: one std::thread a CUDA thread, one block at a time, real
// barriers. Shared memory is filled with a pattern before every block, so that reading what no thread wrote shows.
#include <barrier>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <thread>
#include <vector>

struct Index {
  unsigned x = 0, y = 0, z = 0;
};
inline thread_local Index threadIdx, blockIdx, blockDim, gridDim;

namespace host_cuda {

constexpr unsigned kLanes = 32;

struct Warp {
  std::barrier<> barrier{kLanes};
  double slot[kLanes] = {};
};

struct Block {
  explicit Block(unsigned threads) : barrier(threads), warps(threads / kLanes) {}
  std::barrier<> barrier;
  std::vector<Warp> warps;
};

inline thread_local Block* current = nullptr;

// Runs body(shared) as a grid of `blocks` blocks of `threads` threads (a multiple of 32).
template <class Body>
void launch(unsigned blocks, unsigned threads, size_t shared_bytes, Body body) {
  Block block(threads);
  constexpr std::align_val_t kAlign{16};
  auto release = [](unsigned char* p) { operator delete[](p, kAlign); };
  // Exactly the bytes requested: a sanitizer sees an access past them.
  std::unique_ptr<unsigned char[], decltype(release)> shared(new (kAlign) unsigned char[shared_bytes], release);
  auto run = [&](unsigned thread) {
    current = &block;
    threadIdx.x = thread;
    blockDim.x = threads;
    gridDim.x = blocks;
    for (unsigned b = 0; b < blocks; ++b) {
      if (thread == 0) std::memset(shared.get(), 0xcd, shared_bytes);
      block.barrier.arrive_and_wait();
      blockIdx.x = b;
      body(shared.get());
      block.barrier.arrive_and_wait();
    }
  };
  std::vector<std::thread> pool;
  for (unsigned t = 0; t < threads; ++t) pool.emplace_back(run, t);
  for (std::thread& t : pool) t.join();
}

}  // namespace host_cuda

inline void __syncthreads() { host_cuda::current->barrier.arrive_and_wait(); }

inline double __shfl_xor_sync(unsigned, double value, int mask) {
  host_cuda::Warp& warp = host_cuda::current->warps[threadIdx.x / host_cuda::kLanes];
  const unsigned lane = threadIdx.x % host_cuda::kLanes;
  warp.slot[lane] = value;
  warp.barrier.arrive_and_wait();
  const double result = warp.slot[lane ^ static_cast<unsigned>(mask)];
  warp.barrier.arrive_and_wait();
  return result;
}
