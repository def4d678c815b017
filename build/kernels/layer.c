/* A layer of a BERT encoder in 8 bits, compiled once for each set of instructions.

   Activations are quantized row by row over the range of the row, so that no answer depends on its neighbours, and
   padding is left out. Attention has its queries, keys and values in bytes, and its probabilities as well: 255 of the
   likeliest key, divided by the sum of what they were rounded to. */
#include <float.h>
#include <math.h>

#include "layer.h"
#include "simd.h"

INLINE int least(int a, int b) { return a < b ? a : b; }
INLINE int up_to(int n, int of) { return (n + of - 1) / of * of; }

/* ---- bytes ---- */

INLINE void put_unsigned(uint8_t *to, i32x16 v) {
    u8x16 bytes = __builtin_convertvector(v - integers(OFFSET), u8x16);
    memcpy(to, &bytes, sizeof bytes);
}

INLINE f32x16 smoothed(const float *x, const float *smooth) { return smooth ? load(x) * load(smooth) : load(x); }

/* Quantizes a row to 0..255 over its range, which holds 0. The scale is NaN where an element is, or no range. */
INLINE void quantize(const float *x, const float *smooth, int n, uint8_t *to, float *scale, int32_t *zero) {
    f32x16 low = all(0), high = all(0);
    i32x16 no_number = integers(0);
    for (int i = 0; i < n; i += 16) {
        f32x16 v = smoothed(x + i, smooth ? smooth + i : 0);
        low = smaller(v, low);
        high = larger(v, high);
        no_number |= v != v;
    }
    float bottom = largest_of(-low), range = largest_of(high) + bottom;
    if (__builtin_reduce_or(no_number) || range > FLT_MAX) range = NAN;
    float inverse = range > 0 ? 255.0f / range : 0;
    inverse = inverse <= FLT_MAX ? inverse : 0; /* of a range below 255 / FLT_MAX */
    int32_t z = inverse > 0 ? (int32_t)(bottom * inverse + 0.5f) : 0;
    for (int i = 0; i < n; i += 16) {
        f32x16 v = smoothed(x + i, smooth ? smooth + i : 0);
        i32x16 integer = nearest(v * all(inverse)) + integers(z);
        integer = integer < 0 ? integers(0) : integer;
        put_unsigned(to + i, integer > 255 ? integers(255) : integer);
    }
    *scale = range / 255.0f;
    *zero = z - OFFSET;
}

/* Quantizes a row to -127..127 by its largest magnitude. The scale is not finite where an element is not. */
INLINE float quantize_signed(const float *x, int n, int8_t *to) {
    i32x16 most = integers(0);
    for (int i = 0; i < n; i += 16) most = larger_magnitude(load(x + i), most);
    float largest = BITS(float, __builtin_reduce_max(most)), inverse = 127.0f / largest;
    inverse = inverse <= FLT_MAX ? inverse : 0;
    for (int i = 0; i < n; i += 16) {
        i8x16 bytes = __builtin_convertvector(nearest(load(x + i) * all(inverse)), i8x16);
        memcpy(to + i, &bytes, sizeof bytes);
    }
    return largest / 127.0f;
}

/* ---- products ---- */

/* out = A B: A [rows, depth] with a scale and a zero point for each row, B as the weights of a Linear. A `sum` of null
   says that all zero points are 0. */
typedef struct {
    const uint8_t *a;
    const float *scale;
    const int32_t *zero;
    const int8_t *b;
    const float *columns;
    const int32_t *sum;
    const float *bias;
    int depth, width;
    float *out;
    int stride;
} Product;
typedef enum { WEIGHTS, WEIGHTS_GELU, EXACT } Kind;

/* x times the normal distribution's share below x, to 2e-4: an odd polynomial between -4 and 4, and 0 or 1 outside. */
INLINE f32x16 gelu(f32x16 x) {
    f32x16 c = smaller(larger(x, all(-4)), all(4)), s = c * c;
    f32x16 p = multiply_add(all(2.2780966446589446e-08f), s, all(-1.5985785921657225e-06f));
    p = multiply_add(p, s, all(4.7955054469639435e-05f));
    p = multiply_add(p, s, all(-0.00081401108764112f));
    p = multiply_add(p, s, all(0.008772367611527443f));
    p = multiply_add(p, s, all(-0.06457306444644928f));
    p = multiply_add(p, s, all(0.3978833258152008f));
    p = multiply_add(p, c, all(0.5f));
    return x * smaller(larger(p, all(0)), all(1));
}

/* 2 to the x between -126 and 127, to 4e-6: the integer nearest to x goes into the exponent. */
INLINE f32x16 power_of_2(f32x16 x) {
    f32x16 rounded = x + all(ROUNDER), f = x - (rounded - all(ROUNDER));
    f32x16 e = multiply_add(all(0.009570086374878883f), f, all(0.055917900055646896f));
    e = multiply_add(e, f, all(0.2402474582195282f));
    e = multiply_add(e, f, all(0.6931217908859253f));
    e = multiply_add(e, f, all(0.9999992847442627f));
    return BITS(f32x16, BITS(i32x16, e) + (BITS(i32x16, rounded) << 23));
}

/* x / (1 + e to the -z) */
INLINE f32x16 times_sigmoid(f32x16 x, f32x16 z) {
    return x / (all(1) + power_of_2(smaller(larger(z * all(-1.44269504f), all(-100)), all(100))));
}

static __attribute__((noinline)) void activate(float *x, int n, Activation activation) {
    for (int i = 0; i < n; i += 16) {
        f32x16 v = load(x + i);
        if (activation == RELU) v = v < 0 ? all(0) : v;
        else if (activation == SILU) v = times_sigmoid(v, v);
        else v = times_sigmoid(v, v * multiply_add(v * v, all(0.0713548162726f), all(1.59576912161f)));
        store(x + i, v);
    }
}

INLINE void tile(const Product *p, int row, int column, int rows, int columns, Kind kind) {
    i32x16 sums[ROWS][COLUMNS];
    const uint8_t *a = p->a + (size_t)row * p->depth;
    const int8_t *b = p->b + (size_t)column * p->depth;
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int c = 0; c < columns; c++) sums[r][c] = integers(0);
    }
    for (int k = 0; k < p->depth; k += 4) {
        Block blocks[COLUMNS];
        UNROLL for (int c = 0; c < columns; c++) blocks[c] = block(b + (size_t)16 * c * p->depth + 16 * k);
        UNROLL for (int r = 0; r < rows; r++) {
            Four one = four(a + (size_t)r * p->depth + k);
            UNROLL for (int c = 0; c < columns; c++)
                sums[r][c] = kind == EXACT ? dot_exact(sums[r][c], one, blocks[c]) : dot(sums[r][c], one, blocks[c]);
        }
    }
    UNROLL for (int c = 0; c < columns; c++) {
        int at = column + 16 * c;
        f32x16 scale = load(p->columns + at), bias = p->bias ? load(p->bias + at) : all(0);
        i32x16 sum = p->sum ? load_integers(p->sum + at) : integers(0);
        UNROLL for (int r = 0; r < rows; r++) {
            i32x16 total = p->sum ? sums[r][c] - sum * integers(p->zero[row + r]) : sums[r][c];
            f32x16 v = multiply_add(floats(total), all(p->scale[row + r]) * scale, bias);
            store(p->out + (size_t)(row + r) * p->stride + at, kind == WEIGHTS_GELU ? gelu(v) : v);
        }
    }
}

/* The number of rows is a constant in each tile, as otherwise its sums would not stay in registers. */
#define TILE(count) \
    case count: tile(p, row, column, count, columns, kind); break;
INLINE void tiles(const Product *p, int rows, int column, int columns, Kind kind) {
    for (int row = 0; row < rows; row += ROWS) {
        switch (least(rows - row, ROWS)) {
            TILE(1)
            TILE(2)
#if ROWS >= 4
            TILE(3)
            TILE(4)
#endif
#if ROWS >= 6
            TILE(5)
            TILE(6)
#endif
#if ROWS >= 8
            TILE(7)
            TILE(8)
#endif
        }
    }
}

INLINE void product(const Product *p, int rows, Kind kind) {
    int column = 0;
    for (; column + 16 * COLUMNS <= p->width; column += 16 * COLUMNS) tiles(p, rows, column, COLUMNS, kind);
    for (; column < p->width; column += 16) tiles(p, rows, column, 1, kind);
}
static __attribute__((noinline)) void multiply(const Product *p, int rows) { product(p, rows, WEIGHTS); }
static __attribute__((noinline)) void multiply_gelu(const Product *p, int rows) { product(p, rows, WEIGHTS_GELU); }
static __attribute__((noinline)) void multiply_exact(const Product *p, int rows) { product(p, rows, EXACT); }

/* ---- scratch ---- */

/* Gives out bytes from `at` on, which is 0 where only their number is asked for. */
INLINE void *take(uintptr_t *at, size_t bytes) {
    void *p = (void *)*at;
    *at += (bytes + 63) / 64 * 64;
    return p;
}

/* The buffers of one worker: those of a block of rows, and in the same bytes those of a head. */
typedef struct {
    uint8_t *bytes;
    float *scale, *wide, *first, *second;
    int32_t *zero;
    int8_t *key, *value;
    float *key_scale, *key_bias, *value_scale, *score, *share;
    int32_t *key_sum, *value_sum;
    uint8_t *weight;
} Own;

static size_t take_own(const Run *run, Own *own, uintptr_t base) {
    const Layer *l = run->layer;
    size_t hidden = l->hidden, inner = l->inner, head = l->hidden / l->heads, keys = up_to(run->longest, 16);
    size_t widest = 3 * hidden > inner ? 3 * hidden : inner, deepest = hidden > inner ? hidden : inner;
    uintptr_t at = base;
    own->bytes = take(&at, BLOCK_ROWS * deepest);
    own->scale = take(&at, BLOCK_ROWS * sizeof(float));
    own->zero = take(&at, BLOCK_ROWS * sizeof(int32_t));
    own->wide = take(&at, BLOCK_ROWS * widest * sizeof(float));
    own->first = take(&at, BLOCK_ROWS * hidden * sizeof(float));
    own->second = take(&at, BLOCK_ROWS * hidden * sizeof(float));
    size_t of_rows = at - base;
    at = base;
    own->key = take(&at, keys * head);
    own->value = take(&at, keys * head);
    own->key_scale = take(&at, keys * sizeof(float));
    own->key_bias = take(&at, keys * sizeof(float));
    own->key_sum = take(&at, keys * sizeof(int32_t));
    own->value_scale = take(&at, head * sizeof(float));
    own->value_sum = take(&at, head * sizeof(int32_t));
    own->score = take(&at, ROWS * keys * sizeof(float));
    own->share = take(&at, ROWS * sizeof(float));
    own->weight = take(&at, ROWS * keys);
    size_t of_head = at - base;
    return of_rows > of_head ? of_rows : of_head;
}

static size_t take_shared(Run *run) {
    size_t tokens = run->tokens, hidden = run->layer->hidden, heads = run->layer->heads;
    uintptr_t at = (uintptr_t)run->scratch;
    run->query = take(&at, tokens * hidden);
    run->key = take(&at, tokens * hidden);
    run->query_scale = take(&at, tokens * heads * sizeof(float));
    run->query_zero = take(&at, tokens * heads * sizeof(int32_t));
    run->key_scale = take(&at, tokens * heads * sizeof(float));
    run->value = take(&at, tokens * hidden * sizeof(float));
    run->context = take(&at, tokens * hidden * sizeof(float));
    return at - (uintptr_t)run->scratch;
}

static size_t scratch(const Run *run) {
    Own own;
    Run copy = *run;
    return take_shared(&copy) + MAX_WORKERS * take_own(run, &own, 0);
}

static void prepare(Run *run) { take_shared(run); }

static int tasks(const Run *run) {
    return run->phase == 1 ? run->texts * (int)run->layer->heads : up_to(run->tokens, run->block) / run->block;
}

static int workers(const Run *run) { return least(tasks(run), MAX_WORKERS); }

/* ---- queries, keys and values ---- */

INLINE Product linear(const Linear *l, const Own *own, int depth, int width, float *out) {
    return (Product){.a = own->bytes, .scale = own->scale, .zero = own->zero, .b = l->weight, .columns = l->scale,
        .sum = l->sum, .bias = l->bias, .depth = depth, .width = width, .out = out, .stride = width};
}

static void project(const Run *run, const Own *own, int task) {
    const Layer *l = run->layer;
    int hidden = (int)l->hidden, heads = (int)l->heads, head = hidden / heads;
    int first = task * run->block, rows = least(run->tokens - first, run->block);
    for (int r = 0; r < rows; r++)
        quantize(run->x + (size_t)run->row[first + r] * hidden, l->qkv.smooth, hidden, own->bytes + (size_t)r * hidden,
            own->scale + r, own->zero + r);
    Product qkv = linear(&l->qkv, own, hidden, 3 * hidden, own->wide);
    multiply(&qkv, rows);
    float factor = 1.0f / sqrtf((float)head);
    for (int r = 0; r < rows; r++) {
        const float *query = own->wide + (size_t)3 * hidden * r, *key = query + hidden, *value = key + hidden;
        for (int h = 0; h < heads; h++) {
            size_t at = (size_t)h * run->tokens + first + r;
            quantize(query + h * head, 0, head, run->query + at * head, run->query_scale + at, run->query_zero + at);
            run->query_scale[at] *= factor;
            run->key_scale[at] = quantize_signed(key + h * head, head, run->key + at * head);
        }
        memcpy(run->value + (size_t)(first + r) * hidden, value, hidden * sizeof(float));
    }
}

/* ---- attention ---- */

/* Lays out the keys of a head as the weights of a Linear; those that fill the last block get no attention. Where one
   key is not finite, no score is a number. */
INLINE void pack_keys(const int8_t *key, const float *scale, int tokens, int head, const Own *own) {
    int keys = up_to(tokens, 16);
    float flaw = 0;
    memset(own->key, 0, (size_t)keys * head);
    for (int j = 0; j < tokens; j++) flaw += scale[j] * 0;
    for (int j = 0; j < tokens; j++) {
        int8_t *to = own->key + (size_t)(j / 16) * 16 * head + j % 16 * 4;
        int32_t sum = 0;
        for (int i = 0; i < head; i += 4) memcpy(to + 16 * i, key + (size_t)j * head + i, 4);
        for (int i = 0; i < head; i++) sum += key[(size_t)j * head + i];
        own->key_sum[j] = sum;
        own->key_scale[j] = scale[j];
        own->key_bias[j] = flaw;
    }
    for (int j = tokens; j < keys; j++) {
        own->key_sum[j] = 0;
        own->key_scale[j] = 0;
        own->key_bias[j] = -FLT_MAX / 4 + flaw;
    }
}

/* Quantizes the values of a head, each column by its largest magnitude, in the order of the weights of a Linear. */
INLINE void pack_values(const float *value, int stride, int tokens, int head, const Own *own) {
    int keys = up_to(tokens, 16);
    memset(own->value, 0, (size_t)keys * head);
    for (int c = 0; c < head; c += 16) {
        i32x16 bits = integers(0);
        for (int j = 0; j < tokens; j++) bits = larger_magnitude(load(value + (size_t)j * stride + c), bits);
        f32x16 most = BITS(f32x16, bits), inverse = all(127) / most;
        inverse = inverse <= all(FLT_MAX) ? inverse : all(0);
        store(own->value_scale + c, most / all(127));
        i32x16 sum = integers(0);
        for (int j = 0; j < tokens; j += 4) {
            i32x16 together = integers(0);
            for (int i = 0; i < least(tokens - j, 4); i++) {
                i32x16 integer = nearest(load(value + (size_t)(j + i) * stride + c) * inverse);
                sum += integer;
                together |= (integer & 255) << (8 * i);
            }
            memcpy(own->value + (size_t)c * keys + 16 * j, &together, sizeof together);
        }
        memcpy(own->value_sum + c, &sum, sizeof sum);
    }
}

/* Writes the softmax of a row of scores in bytes, and returns the factor that makes their sum 1: infinity if no score
   is a number. */
INLINE float softmax(const float *score, int keys, uint8_t *to) {
    f32x16 most = all(-FLT_MAX);
    for (int i = 0; i < keys; i += 16) most = larger(load(score + i), most);
    f32x16 top = all(largest_of(most));
    i32x16 sum = integers(0);
    for (int i = 0; i < keys; i += 16) {
        /* Below -20 no byte but 0 is near. */
        f32x16 x = larger((load(score + i) - top) * all(1.44269504f), all(-20));
        i32x16 integer = nearest(power_of_2(x) * all(255));
        sum += integer;
        put_unsigned(to + i, integer);
    }
    return 1.0f / (float)__builtin_reduce_add(sum);
}

/* Adds what the graph adds to the scores of one token, which lie as the tokens do that are no padding. */
INLINE void add_positions(const Run *run, int h, const int32_t *row, int token, int tokens, float *score) {
    int begin = row[0] / run->padded * run->padded;
    const float *of = run->positions + ((size_t)h * run->padded + row[token] - begin) * run->padded;
    if (row[tokens - 1] - row[0] == tokens - 1)
        for (int j = 0; j < tokens; j++) score[j] += of[row[0] - begin + j];
    else
        for (int j = 0; j < tokens; j++) score[j] += of[row[j] - begin];
}

static void attend(const Run *run, const Own *own, int task) {
    const Layer *l = run->layer;
    int hidden = (int)l->hidden, heads = (int)l->heads, head = hidden / heads;
    int text = task / heads, h = task % heads;
    int first = run->start[text], tokens = run->start[text + 1] - first, keys = up_to(tokens, 16);
    size_t at = (size_t)h * run->tokens + first;
    pack_keys(run->key + at * head, run->key_scale + at, tokens, head, own);
    pack_values(run->value + (size_t)first * hidden + h * head, hidden, tokens, head, own);
    int32_t zero[ROWS];
    for (int r = 0; r < ROWS; r++) zero[r] = -OFFSET;
    for (int row = 0; row < tokens; row += ROWS) {
        int rows = least(tokens - row, ROWS);
        Product scores = {.a = run->query + (at + row) * head, .scale = run->query_scale + at + row,
            .zero = run->query_zero + at + row, .b = own->key, .columns = own->key_scale, .sum = own->key_sum,
            .bias = own->key_bias, .depth = head, .width = keys, .out = own->score, .stride = keys};
        multiply_exact(&scores, rows);
        for (int r = 0; run->positions && r < rows; r++)
            add_positions(run, h, run->row + first, row + r, tokens, own->score + (size_t)r * keys);
        for (int r = 0; r < rows; r++)
            own->share[r] = softmax(own->score + (size_t)r * keys, keys, own->weight + (size_t)r * keys);
        Product mean = {.a = own->weight, .scale = own->share, .zero = zero, .b = own->value,
            .columns = own->value_scale, .sum = OFFSET ? own->value_sum : 0, .depth = keys, .width = head,
            .out = run->context + (size_t)(first + row) * hidden + h * head, .stride = hidden};
        multiply_exact(&mean, rows);
    }
}

/* ---- what follows attention ---- */

INLINE void normalize(float *x, const float *residual, int n, const Layer *l, int which, float *to) {
    f32x16 sum = all(0), squares = all(0);
    for (int i = 0; i < n; i += 16) {
        f32x16 v = load(x + i) + load(residual + i);
        store(x + i, v);
        sum += v;
    }
    f32x16 mean = all(sum_of(sum) / (float)n);
    for (int i = 0; i < n; i += 16) {
        f32x16 v = load(x + i) - mean;
        squares = multiply_add(v, v, squares);
    }
    f32x16 factor = all(1.0f / sqrtf(sum_of(squares) / (float)n + l->epsilon));
    for (int i = 0; i < n; i += 16) {
        f32x16 v = multiply_add((load(x + i) - mean) * factor, load(l->gain[which] + i), load(l->shift[which] + i));
        store(to + i, one_nan(v));
    }
}

static void feed_forward(const Run *run, const Own *own, int task) {
    const Layer *l = run->layer;
    int hidden = (int)l->hidden, inner = (int)l->inner;
    int first = task * run->block, rows = least(run->tokens - first, run->block);
    for (int r = 0; r < rows; r++)
        quantize(run->context + (size_t)(first + r) * hidden, l->out.smooth, hidden, own->bytes + (size_t)r * hidden,
            own->scale + r, own->zero + r);
    Product out = linear(&l->out, own, hidden, hidden, own->first);
    multiply(&out, rows);
    for (int r = 0; r < rows; r++) {
        float *y = own->first + (size_t)r * hidden;
        normalize(y, run->x + (size_t)run->row[first + r] * hidden, hidden, l, 0, y);
        quantize(y, l->up.smooth, hidden, own->bytes + (size_t)r * hidden, own->scale + r, own->zero + r);
    }
    Product up = linear(&l->up, own, hidden, inner, own->wide);
    if (l->activation == GELU) multiply_gelu(&up, rows);
    else {
        multiply(&up, rows);
        activate(own->wide, rows * inner, (Activation)l->activation);
    }
    for (int r = 0; r < rows; r++)
        quantize(own->wide + (size_t)r * inner, l->down.smooth, inner, own->bytes + (size_t)r * inner, own->scale + r,
            own->zero + r);
    Product down = linear(&l->down, own, inner, hidden, own->second);
    multiply(&down, rows);
    for (int r = 0; r < rows; r++)
        normalize(own->second + (size_t)r * hidden, own->first + (size_t)r * hidden, hidden, l, 1,
            run->y + (size_t)run->row[first + r] * hidden);
}

/* Takes the lowest part of the scratch that is free: on one thread always the same one, which is in its cache. */
INLINE int take_slot(_Atomic unsigned *slots) {
    unsigned taken = atomic_load(slots), slot;
    do slot = (unsigned)__builtin_ctz(~taken);
    while (!atomic_compare_exchange_weak(slots, &taken, taken | 1u << slot));
    return (int)slot;
}

static void work(const Run *run, int worker) {
    static void (*const phases[PHASES])(const Run *, const Own *, int) = {project, attend, feed_forward};
    Run copy = *run;
    Own own;
    int slot = take_slot(run->slots);
    atomic_fetch_or_explicit(run->used, 1u << slot, memory_order_relaxed);
    uintptr_t base = (uintptr_t)run->scratch + take_shared(&copy);
    take_own(run, &own, base + slot * take_own(run, &own, base));
    for (int task = worker; task < tasks(run); task += run->workers) phases[run->phase](run, &own, task);
    atomic_fetch_and(run->slots, ~(1u << slot));
}

#define NAME_OF_EXPANDED(x) #x
#define NAME_OF(x) NAME_OF_EXPANDED(x)
const Kernel JOIN(kernel_, SUFFIX) = {
    .name = NAME_OF(SUFFIX), .scratch = scratch, .prepare = prepare, .workers = workers, .work = work};
