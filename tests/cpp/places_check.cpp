// The pool of csrc/cpu/threads.h: calls at work at the same time share them, no core is idle where one of them runs
// out of work, and none waits for another that it needs nothing of. Exit code 1: a call waited for what never came.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "cpu/threads.h"

namespace {

std::mutex mutex;
std::condition_variable changed;

// Waits until `flag` is set; a minute is more than any machine takes.
void until(const bool& flag, const char* what) {
  std::unique_lock<std::mutex> lock(mutex);
  if (changed.wait_for(lock, std::chrono::minutes(1), [&] { return flag; })) return;
  std::printf("%s\n", what);
  std::exit(1);
}

void set(bool& flag) {
  std::lock_guard<std::mutex> lock(mutex);
  flag = true;
  changed.notify_all();
}

}  // namespace

int main() {
  const auto pool = std::make_shared<srfast::Pool>();
  std::atomic<int> running{0}, most{0};
  const auto counted = [&](auto&& body) {
    const int now = ++running;
    for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
    }
    body();
    --running;
  };
  // The last piece of the first call ends when the second call has begun; the second ends when a third, which came
  // later and whose pieces one thread does, is back. All this on two places.
  bool first_begun = false, second_begun = false, third_back = false;
  std::atomic<int> first{0}, second{0}, third{0};
  std::thread a([&] {
    pool->run(2, 2, [&] {
      for (int i; (i = first++) < 5;)
        counted([&] {
          set(first_begun);
          if (i == 4) until(second_begun, "a core was idle at the end of a call");
        });
    });
  });
  until(first_begun, "a call did not begin");
  std::thread b([&] {
    pool->run(2, 2, [&] {
      for (int i; (i = second++) < 1;)
        counted([&] {
          set(second_begun);
          until(third_back, "a call waited for a thread that it did not need");
        });
    });
  });
  until(second_begun, "the second call did not begin");
  pool->run(2, 2, [&] {
    for (int i; (i = third++) < 3;) counted([] {});
  });
  set(third_back);
  a.join();
  b.join();
  if (most > 2) std::printf("%d threads at work in two places\n", most.load());
  return most > 2;
}
