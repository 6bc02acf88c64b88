// Runs vpdpbusd and vpdpwssd of AVX-VNNI (VEX, 256 bits, registers) on processors with AVX2 alone: each traps as an
// illegal instruction and is carried out on the saved registers. Linux on x86-64.
#pragma once
#include <ucontext.h>

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {

long trapped = 0;

void on_illegal(int, siginfo_t*, void* context) {
  auto* machine = &static_cast<ucontext_t*>(context)->uc_mcontext;
  auto* code = reinterpret_cast<const uint8_t*>(machine->gregs[REG_RIP]);
  const bool vex = code[0] == 0xc4 && (code[1] & 0x1f) == 2 && (code[2] & 0x87) == 5 && code[4] >= 0xc0;
  if (!vex || (code[3] != 0x50 && code[3] != 0x52)) {
    std::signal(SIGILL, SIG_DFL);
    return;
  }
  auto* area = reinterpret_cast<uint8_t*>(machine->fpregs);
  auto half = [&](int r, int high) { return high ? area + 576 + 16 * r : area + 160 + 16 * r; };
  const int out = (code[4] >> 3 & 7) | (code[1] & 0x80 ? 0 : 8), b = (code[4] & 7) | (code[1] & 0x20 ? 0 : 8);
  const int a = ~(code[2] >> 3) & 15;
  for (int high : {0, 1}) {
    uint32_t sums[4];
    std::memcpy(sums, half(out, high), sizeof sums);
    if (code[3] == 0x50) {
      uint8_t x[16];
      int8_t w[16];
      std::memcpy(x, half(a, high), 16);
      std::memcpy(w, half(b, high), 16);
      for (int i = 0; i < 16; ++i) sums[i / 4] += static_cast<uint32_t>(x[i] * w[i]);
    } else {
      int16_t x[8], w[8];
      std::memcpy(x, half(a, high), 16);
      std::memcpy(w, half(b, high), 16);
      for (int i = 0; i < 8; ++i) sums[i / 2] += static_cast<uint32_t>(x[i] * w[i]);
    }
    std::memcpy(half(out, high), sums, sizeof sums);
  }
  machine->gregs[REG_RIP] += 5;
  ++trapped;
}

inline void trap_vnni() {
  struct sigaction action{};
  action.sa_sigaction = on_illegal;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGILL, &action, nullptr);
}

}  // namespace
