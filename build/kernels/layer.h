/* A layer of a BERT encoder in 8 bits, as operator.c reads it from a session and layer.c computes it. */
#pragma once
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* y = x W + bias. Weights are bytes in the order [columns / 16, rows / 4, 16, 4], with a scale and a sum for each
   column; inputs are multiplied by `smooth` before they are quantized. */
typedef struct {
    const int8_t *weight;
    const float *scale, *bias;
    const int32_t *sum;
    const float *smooth;
} Linear;

/* What is between the two products behind attention. */
typedef enum { GELU, GELU_TANH, RELU, SILU, ACTIVATIONS } Activation;

/* `gain` and `shift` are those of the two normalizations. `hidden`, `inner` and the size of a head are multiples of 16. */
typedef struct {
    int64_t heads, hidden, inner, activation;
    float epsilon;
    Linear qkv, out, up, down;
    const float *gain[2], *shift[2];
} Layer;

/* One run of a layer: x and y are [rows, hidden]. `row` has the row of each token that is no padding, `start` the place
   of each text's first token in it, and at its end the number of all. `positions`, if not null, is added to the scores
   of every text: [heads, padded, padded]. Where `scratch` is null, no buffer is. */
typedef struct {
    const Layer *layer;
    const float *x;
    float *y;
    int texts, tokens, longest, padded;
    const int32_t *row, *start;
    const float *positions;
    char *scratch;
    int phase, workers, block; /* rows of a block, BLOCK_ROWS at most */
    _Atomic unsigned *slots; /* a bit for each part of the scratch that a worker has */
    _Atomic unsigned *used; /* a bit for each part that one had at any time: as many threads there are at least */
    uint8_t *query;
    int8_t *key;
    float *query_scale, *key_scale, *value, *context;
    int32_t *query_zero;
} Run;

/* The layer for one set of instructions. A phase is the work of so many workers, which may run at the same time. */
typedef struct {
    const char *name;
    size_t (*scratch)(const Run *); /* bytes */
    void (*prepare)(Run *);
    int (*workers)(const Run *);
    void (*work)(const Run *, int worker);
} Kernel;

/* BLOCK_ROWS stay in the second-level cache with their activations from one product to the next. */
enum { PHASES = 3, MAX_WORKERS = 8, MAX_HEAD = 256, BLOCK_ROWS = 16 };
