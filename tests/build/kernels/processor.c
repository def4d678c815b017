/* `operator.c` on a processor that a test describes. */
#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layer.h"

const Kernel kernel_portable = {.name = "portable"}, kernel_avx2 = {.name = "avx2"},
             kernel_avx512vnni = {.name = "avx512vnni"};
static unsigned one_c, seven_b, seven_c, xcr0;
static bool faulted;

/* XGETBV is no instruction where the system has not said that it keeps registers. */
static unsigned read_kept(void) {
    faulted |= !(one_c & bit_OSXSAVE);
    return xcr0;
}
#define __get_cpuid(leaf, a, b, c, d) (*(c) = one_c, 1)
#define __get_cpuid_count(leaf, part, a, b, c, d) (*(b) = seven_b, *(c) = seven_c, 1)
#define __asm__(...) (low = read_kept())
#include "operator.c"

/* Returns the name of the kernel that is taken with these bits of CPUID's leaf 1 in ecx, of leaf 7 in ebx and ecx, and
   of XCR0; "fault" where the processor would have stopped the process. */
__attribute__((visibility("default"))) const char *taken(unsigned one, unsigned ebx, unsigned ecx, unsigned registers) {
    one_c = one, seven_b = ebx, seven_c = ecx, xcr0 = registers, faulted = false;
    const char *name = choose()->name;
    return faulted ? "fault" : name;
}
