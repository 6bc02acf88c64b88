#pragma once
// Work on several threads. Where the system refuses one more (a limit on processes or memory), those that started do
// its share.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

namespace srfast {

// Calls body() on up to `threads` threads, the calling one among them, and waits for all. body takes its share from a
// counter of its own. The first exception is thrown again.
template <class F>
void run_workers(int64_t threads, F&& body) {
  std::vector<std::exception_ptr> errors(static_cast<size_t>(std::max<int64_t>(threads, 1)));
  auto run = [&](int64_t k) {
    try {
      body();
    } catch (...) {
      errors[static_cast<size_t>(k)] = std::current_exception();
    }
  };
  std::vector<std::thread> pool;
  pool.reserve(errors.size());
  try {
    for (int64_t k = 1; k < threads; ++k) pool.emplace_back(run, k);
  } catch (const std::exception&) {  // system_error; bad_alloc
  }
  run(0);
  for (auto& t : pool) t.join();
  for (auto& e : errors)
    if (e) std::rethrow_exception(e);
}

// How many of `threads` are worth starting for work of which one core does `a_thread` in 50 us, three times what
// starting and joining a thread takes.
inline int64_t worth(int64_t threads, int64_t work, int64_t a_thread) { return std::min(threads, work / a_thread); }

// Splits [0, n) into contiguous ranges, one for each thread, and calls body(begin, end) for each.
template <class F>
void parallel_ranges(int64_t n, int64_t threads, F&& body) {
  const int64_t ranges = std::max<int64_t>(1, std::min(threads, n));
  std::atomic<int64_t> next{0};
  run_workers(ranges, [&] {
    for (int64_t k; (k = next.fetch_add(1)) < ranges;) body(n * k / ranges, n * (k + 1) / ranges);
  });
}

}  // namespace srfast
