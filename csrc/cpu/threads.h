#pragma once
// Work on several threads. Where the system refuses one more (a limit on processes or memory), those that started do
// its share.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

#ifndef _WIN32
#include <pthread.h>
#endif

#include "core/api.h"

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

// The threads of several calls that are at work at the same time: together no more than one call asks for, first come,
// first served. One pool serves the process (`pool()`), so that W callers, who each ask for W threads, have W together.
// Where those of one call run out of work those of the next begin, and no core is idle. A thread that has no call to
// work for ends, so that an idle process has none and may fork. Each call waits on a condition of its own.
class Pool : public std::enable_shared_from_this<Pool> {
 public:
  // Calls body() on up to `threads` threads, the calling one among them where there is a place, and waits for all. body
  // takes its share from a counter of its own, and returns when no work is left to begin: threads that have not begun
  // by then need not. The first exception is thrown again. `places` is how many threads all calls may have at work.
  template <class F>
  void run(int64_t places, int64_t threads, F&& body) {
    if (std::min(places, threads) <= 1) return body();
    Call call{[](void* f) { (*static_cast<std::remove_reference_t<F>*>(f))(); }, &body, places, threads};
    std::unique_lock<std::mutex> lock(mutex_);
    open_.push_back(&call);
    if (taken_ < places) {
      ++taken_;
      call.caller_works = true;
      for (int64_t started = 1; started < threads && taken_ < places && start(); ++started) {
      }
      work(call, lock);
      leave();
    }
    for (;;) {
      call.changed.wait(lock, [&] { return call.granted || (call.over && call.running == 0); });
      if (!call.granted) break;
      call.granted = false;
      if (!call.over) work(call, lock);
      leave();
    }
    if (call.error) std::rethrow_exception(call.error);
  }

 private:
  struct Call {
    void (*run)(void*);
    void* body;
    int64_t places, threads;
    int64_t running = 0;
    bool over = false;          // no work is left to begin
    bool caller_works = false;  // or has worked, or is about to
    bool granted = false;       // the caller may begin
    std::exception_ptr error{};
    std::condition_variable changed{};
  };

  // Whether one more thread, beside `taken` others, may work for a call.
  static bool takes(const Call& call, int64_t taken) {
    return !call.over && call.running < call.threads && taken < call.places;
  }

  // The body on this thread, which has a place.
  void work(Call& call, std::unique_lock<std::mutex>& lock) {
    ++call.running;
    lock.unlock();
    std::exception_ptr error;
    try {
      call.run(call.body);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    --call.running;
    if (error && !call.error) call.error = error;
    if (!call.over) open_.erase(std::find(open_.begin(), open_.end(), &call));
    call.over = true;
    if (call.running == 0) call.changed.notify_one();
  }

  // Gives a place back: to the caller of the first call that can use it, or to a new thread.
  void leave() {
    --taken_;
    for (Call* call : open_) {
      if (!takes(*call, taken_)) continue;
      if (call->caller_works) {
        if (!start()) continue;
      } else {
        ++taken_;
        call->caller_works = call->granted = true;
        call->changed.notify_one();
      }
      return;
    }
  }

  // One more thread, which takes a place; false where the system has none.
  bool start() {
    try {
      std::thread([pool = shared_from_this()] { pool->help(); }).detach();
    } catch (const std::exception&) {  // system_error; bad_alloc
      return false;
    }
    ++taken_;
    return true;
  }

  // A thread of the pool: works for one call after another, until none takes it.
  void help() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      const auto next = std::find_if(open_.begin(), open_.end(), [&](Call* c) { return takes(*c, taken_ - 1); });
      if (next == open_.end()) return leave();
      work(**next, lock);
    }
  }

  std::mutex mutex_;
  std::vector<Call*> open_;  // calls with work to begin, in the order in which they came
  int64_t taken_ = 0;        // threads at work, or about to be
};

// The pool of this process. A child that was forked while threads were at work has none of them, and gets a pool of its
// own.
inline Pool& pool() {
  static std::atomic<std::shared_ptr<Pool>*> held = [] {
#ifndef _WIN32
    pthread_atfork(nullptr, nullptr, [] { held = new std::shared_ptr<Pool>(std::make_shared<Pool>()); });
#endif
    return new std::shared_ptr<Pool>(std::make_shared<Pool>());
  }();
  return **held.load();
}

// How many of `threads` are worth starting for work of which one core does `a_thread` in 50 us, three times what
// starting and joining a thread takes.
inline int64_t worth(int64_t threads, int64_t work, int64_t a_thread) { return std::min(threads, work / a_thread); }

// Splits [0, n) into `ranges` contiguous ones, at least one, and calls body(begin, end) for each. `run` calls what it
// is given on several threads.
template <class Run, class F>
void in_ranges(int64_t n, int64_t ranges, Run&& run, F&& body) {
  ranges = std::max<int64_t>(1, std::min(ranges, n));
  std::atomic<int64_t> next{0};
  run(ranges, [&] {
    for (int64_t k; (k = next.fetch_add(1)) < ranges;) body(n * k / ranges, n * (k + 1) / ranges);
  });
}

// On threads of their own, one for each range.
template <class F>
void parallel_ranges(int64_t n, int64_t threads, F&& body) {
  in_ranges(n, threads, [](int64_t ranges, auto&& work) { run_workers(ranges, work); }, body);
}

// Of the rows of windows, where there are any, on threads of the pool. A range goes over the rows that its windows
// cover, those of its last one twice, so that it is several windows high.
template <class F>
void window_ranges(const Grid& at, int64_t threads, F&& body) {
  if (at.nx == 0 || at.ny == 0) return;
  const int64_t ranges = std::min(threads, (at.ys[at.ny - 1] + at.size - at.ys[0]) / (4 * at.size));
  in_ranges(at.ny, ranges, [&](int64_t n, auto&& work) { pool().run(threads, n, work); }, body);
}

}  // namespace srfast
