/* Vectors of 16 lanes, which the compiler makes of the registers that a processor has, and the products of bytes, which
   are all that is written for each processor.

   Every float is computed by the same operations in the same order everywhere, so all processors give the same bits.
   Where one is no number, its sign and payload differ between them: those of an answer are written by `one_nan`. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef float f32x16 __attribute__((ext_vector_type(16)));
typedef int32_t i32x16 __attribute__((ext_vector_type(16)));
typedef uint8_t u8x16 __attribute__((ext_vector_type(16)));
typedef int8_t i8x16 __attribute__((ext_vector_type(16)));
#define INLINE static inline __attribute__((always_inline))
#define BITS(type, value) __builtin_bit_cast(type, value)
#define UNROLL _Pragma("clang loop unroll(full)")

INLINE f32x16 load(const float *p) {
    f32x16 v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE i32x16 load_integers(const int32_t *p) {
    i32x16 v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE void store(float *p, f32x16 v) { memcpy(p, &v, sizeof v); }
INLINE f32x16 all(float x) { return (f32x16)x; }
INLINE i32x16 integers(int32_t x) { return (i32x16)x; }
INLINE f32x16 multiply_add(f32x16 a, f32x16 b, f32x16 c) { return __builtin_elementwise_fma(a, b, c); }
/* Both return b where a is no number. */
INLINE f32x16 larger(f32x16 a, f32x16 b) { return a > b ? a : b; }
INLINE f32x16 smaller(f32x16 a, f32x16 b) { return a < b ? a : b; }
/* The bits of magnitudes are in the order of the magnitudes, NaN above all, so that the largest is NaN where one is. */
INLINE i32x16 larger_magnitude(f32x16 v, i32x16 bits) {
    i32x16 its = BITS(i32x16, v) & integers(INT32_MAX);
    return its > bits ? its : bits;
}
/* The NaN that has no sign and no payload in place of any. */
INLINE f32x16 one_nan(f32x16 v) { return BITS(f32x16, v == v ? BITS(i32x16, v) : integers(0x7fc00000)); }
INLINE f32x16 floats(i32x16 v) { return __builtin_convertvector(v, f32x16); }

/* The sum leaves the nearest integer in the lowest bits: 1.5 * 2**23. */
#define ROUNDER 12582912.0f
INLINE i32x16 nearest(f32x16 v) { return BITS(i32x16, v + all(ROUNDER)) - BITS(i32x16, all(ROUNDER)); }

INLINE float sum_of(f32x16 v) {
    float x[16];
    memcpy(x, &v, sizeof v);
    for (int half = 8; half; half /= 2)
        for (int i = 0; i < half; i++) x[i] += x[i + half];
    return x[0];
}
INLINE float largest_of(f32x16 v) {
    float x[16];
    memcpy(x, &v, sizeof v);
    for (int half = 8; half; half /= 2)
        for (int i = 0; i < half; i++) x[i] = x[i] > x[i + half] ? x[i] : x[i + half];
    return x[0];
}

/* Four bytes of a row of A in each lane, and four rows of 16 columns of B, whose products `dot` adds to 16 sums.
   `dot` may take 16 bits for the sum of two products; `dot_exact` never does. ROWS and COLUMNS are the largest tile
   whose sums stay in registers, in rows of A and in blocks of 16 columns. OFFSET is what A is kept less. */
#if defined(__AVX512VNNI__)
#include <immintrin.h>
#define SUFFIX avx512vnni
#define ROWS 8
#define COLUMNS 3
#define OFFSET 0
typedef __m512i Four, Block;
INLINE Four four(const uint8_t *a) {
    int32_t x;
    memcpy(&x, a, sizeof x);
    return _mm512_set1_epi32(x);
}
INLINE Block block(const int8_t *b) { return _mm512_loadu_si512(b); }
INLINE i32x16 dot_exact(i32x16 sum, Four a, Block b) {
    return BITS(i32x16, _mm512_dpbusd_epi32(BITS(__m512i, sum), a, b));
}
#define dot dot_exact
#elif defined(__AVX2__)
#include <immintrin.h>
#define SUFFIX avx2
#define ROWS 4
#define COLUMNS 1
#define OFFSET 0
typedef __m256i Four;
typedef struct { __m256i half[2]; } Block;
typedef struct { __m256i half[2]; } Sums;
INLINE Four four(const uint8_t *a) {
    int32_t x;
    memcpy(&x, a, sizeof x);
    return _mm256_set1_epi32(x);
}
INLINE Block block(const int8_t *b) {
    const __m256i *p = (const __m256i *)b;
    return (Block){{_mm256_loadu_si256(p), _mm256_loadu_si256(p + 1)}};
}
INLINE i32x16 dot(i32x16 sum, Four a, Block b) {
    Sums s = BITS(Sums, sum);
    UNROLL for (int i = 0; i < 2; i++) {
        __m256i pairs = _mm256_maddubs_epi16(a, b.half[i]);
        s.half[i] = _mm256_add_epi32(s.half[i], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
    return BITS(i32x16, s);
}
INLINE i32x16 dot_exact(i32x16 sum, Four a, Block b) {
    Sums s = BITS(Sums, sum);
    __m256i even = _mm256_and_si256(a, _mm256_set1_epi16(255)), odd = _mm256_srli_epi16(a, 8);
    UNROLL for (int i = 0; i < 2; i++) {
        __m256i first = _mm256_srai_epi16(_mm256_slli_epi16(b.half[i], 8), 8), second = _mm256_srai_epi16(b.half[i], 8);
        s.half[i] = _mm256_add_epi32(s.half[i], _mm256_madd_epi16(even, first));
        s.half[i] = _mm256_add_epi32(s.half[i], _mm256_madd_epi16(odd, second));
    }
    return BITS(i32x16, s);
}
#elif defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#define SUFFIX dotprod
#define ROWS 6
#define COLUMNS 1
/* NEON multiplies bytes of equal sign only. */
#define OFFSET 128
typedef int8x16_t Four;
typedef struct { int8x16_t part[4]; } Block;
typedef struct { int32x4_t part[4]; } Sums;
INLINE Four four(const uint8_t *a) {
    int32_t x;
    memcpy(&x, a, sizeof x);
    return vreinterpretq_s8_s32(vdupq_n_s32(x));
}
INLINE Block block(const int8_t *b) {
    return (Block){{vld1q_s8(b), vld1q_s8(b + 16), vld1q_s8(b + 32), vld1q_s8(b + 48)}};
}
INLINE i32x16 dot_exact(i32x16 sum, Four a, Block b) {
    Sums s = BITS(Sums, sum);
    UNROLL for (int i = 0; i < 4; i++) s.part[i] = vdotq_s32(s.part[i], b.part[i], a);
    return BITS(i32x16, s);
}
#define dot dot_exact
#else
#define SUFFIX portable
#define ROWS 2
#define COLUMNS 1
#define OFFSET 0
typedef const uint8_t *Four;
typedef const int8_t *Block;
INLINE Four four(const uint8_t *a) { return a; }
INLINE Block block(const int8_t *b) { return b; }
INLINE i32x16 dot_exact(i32x16 sum, Four a, Block b) {
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 4; k++) sum[i] += a[k] * b[4 * i + k];
    return sum;
}
#define dot dot_exact
#endif

#define JOIN_EXPANDED(a, b) a##b
#define JOIN(a, b) JOIN_EXPANDED(a, b)
