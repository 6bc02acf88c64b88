#pragma once
// A plain loop compiled for several instruction sets, chosen at load time. GNU/Linux on x86 only; not under
// AddressSanitizer, which is not ready when the choice is made.
#if defined(SRFAST_X86) && defined(__gnu_linux__) && !defined(__SANITIZE_ADDRESS__)
#define SRFAST_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define SRFAST_CLONES
#endif
