#pragma once
// Splits [0, n) into contiguous ranges, one per thread; the calling thread takes the first.
#include <algorithm>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

namespace srfast {

template <class F>
void parallel_ranges(int64_t n, int threads, F&& body) {
  const int64_t workers = std::max<int64_t>(1, std::min<int64_t>(threads, n));
  if (workers == 1) {
    body(int64_t{0}, n);
    return;
  }
  std::vector<std::exception_ptr> errors(static_cast<size_t>(workers));
  auto run = [&](int64_t k) {
    try {
      body(n * k / workers, n * (k + 1) / workers);
    } catch (...) {
      errors[static_cast<size_t>(k)] = std::current_exception();
    }
  };
  std::vector<std::thread> pool;
  for (int64_t k = 1; k < workers; ++k) pool.emplace_back(run, k);
  run(0);
  for (auto& t : pool) t.join();
  for (auto& e : errors)
    if (e) std::rethrow_exception(e);
}

}  // namespace srfast
