/* What Clang calls for copies and fills, where no C library is linked. SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

#define PLAIN __attribute__((no_builtin("memcpy", "memset")))

PLAIN void *memcpy(void *restrict to, const void *restrict from, size_t size) {
    uint8_t *out = to;
    const uint8_t *in = from;
    while (size--) *out++ = *in++;
    return to;
}

PLAIN void *memset(void *to, int value, size_t size) {
    uint8_t *out = to;
    while (size--) *out++ = (uint8_t)value;
    return to;
}

/* The names of Arm's run-time ABI; suffixes say how the places are aligned. */
#define NAMED(suffix)                                                                                     \
    void __aeabi_memcpy##suffix(void *to, const void *from, size_t size) { (void)memcpy(to, from, size); } \
    void __aeabi_memset##suffix(void *to, size_t size, int value) { (void)memset(to, value, size); }       \
    void __aeabi_memclr##suffix(void *to, size_t size) { (void)memset(to, 0, size); }
NAMED()
NAMED(4)
NAMED(8)
