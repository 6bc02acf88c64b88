#pragma once
// Work on several threads. Where the system refuses one more (a limit on processes or memory), those that started do
// its share.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
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

// Places of several calls on several threads that are at work at the same time: their threads together are no more than
// one call asks for, first come, first served. Where those of one run out of work those of the next begin, and no core
// is idle.
class Places {
 public:
  // run_workers, each thread in a place. A body returns when no work is left to begin; threads that have no place by
  // then need none.
  template <class F>
  void run(int64_t threads, F&& body) {
    if (threads <= 1) return body();
    bool over = false;
    run_workers(threads, [&] {
      if (!enter(threads, over)) return;
      const Leave leave{*this, over};
      body();
    });
  }

 private:
  struct Leave {
    Places& places;
    bool& over;
    ~Leave() {
      std::lock_guard<std::mutex> lock(places.mutex_);
      over = true;
      --places.taken_;
      places.changed_.notify_all();
    }
  };

  bool enter(int64_t most, const bool& over) {
    std::unique_lock<std::mutex> lock(mutex_);
    waiting_.push_back(std::this_thread::get_id());
    changed_.wait(lock, [&] { return over || (taken_ < most && waiting_.front() == std::this_thread::get_id()); });
    waiting_.erase(std::find(waiting_.begin(), waiting_.end(), std::this_thread::get_id()));
    changed_.notify_all();
    if (!over) ++taken_;
    return !over;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::thread::id> waiting_;
  int64_t taken_ = 0;
};

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
