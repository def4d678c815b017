/* The operator `EncoderLayer` of the domain `turnout`: reads and checks what ONNX Runtime hands over, and runs a layer on
   the threads of the session. Its inputs are x [texts, tokens, hidden], the mask [texts, tokens], and constants: weight,
   scale, bias, sum and smooth of each of the four products, then gain and shift of both normalizations. Last, and optional,
   is what is added to the scores of each text, [1, heads, tokens, tokens]. Rows of x where the mask is 0 are neither read
   nor attended to, and are 0 in the output. */
#include <stdlib.h>
#include <string.h>

#include "layer.h"
#include "ort.h"

enum { X, MASK, PRODUCTS, PARTS = 5, NORMALIZATIONS = PRODUCTS + 4 * PARTS, POSITIONS = NORMALIZATIONS + 4, INPUTS };
/* Positions of all texts of a run, and of one: 255 * 127 of each then fit the 32 bits of a sum. */
enum { MOST_POSITIONS = 1 << 22, MOST_TOKENS = 1 << 16, WIDEST = 1 << 16 };

#define TRY(call) \
    do { \
        OrtStatus *failed = (call); \
        if (failed) return failed; \
    } while (0)

typedef struct {
    OrtApi api;
    const Kernel *kernel;
    Layer layer;
    _Atomic unsigned used; /* as in Run */
} State;

static OrtStatus *invalid(OrtApi api, const char *why) { return CreateStatus(api)(ORT_INVALID_ARGUMENT, why); }
static OrtStatus *no_memory(OrtApi api) { return CreateStatus(api)(ORT_FAIL, "EncoderLayer: there is no memory left"); }

/* ---- which kernel ---- */

extern const Kernel kernel_portable;
#if defined(__x86_64__)
#include <cpuid.h>
extern const Kernel kernel_avx2, kernel_avx512vnni;

/* What a kernel is compiled for (compile.py), as bits of CPUID: of leaf 1 in ecx, of leaf 7 in ebx and ecx; and what the
   system has to keep of a thread, as bits of XCR0: the registers of SSE and AVX, and those of AVX-512. */
typedef struct { unsigned one_c, seven_b, seven_c, kept; } Features;
enum { SSE_TO_AVX = bit_SSE3 | bit_SSSE3 | bit_SSE4_1 | bit_SSE4_2 | bit_OSXSAVE | bit_AVX | bit_FMA };
static const Features of_avx2 = {SSE_TO_AVX, bit_AVX2, 0, 0x06};
static const Features of_avx512vnni = {SSE_TO_AVX | bit_F16C,
    bit_AVX2 | bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL, bit_AVX512VNNI, 0xe6};

static bool has(const Features *needed) {
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & needed->one_c) != needed->one_c) return false;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & needed->kept) != needed->kept || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    return (b & needed->seven_b) == needed->seven_b && (c & needed->seven_c) == needed->seven_c;
}
static bool has_avx2(void) { return has(&of_avx2); }
static bool has_avx512vnni(void) { return has(&of_avx512vnni); }
#elif defined(__aarch64__)
#include <sys/auxv.h>
extern const Kernel kernel_dotprod;
static bool has_dotprod(void) { return getauxval(AT_HWCAP) & (1UL << 20); } /* HWCAP_ASIMDDP */
#endif
static bool always(void) { return true; }

/* Returns the fastest kernel that the processor runs, or the one that TURNOUT_KERNEL names, which tests compare. */
static const Kernel *choose(void) {
    static const struct {
        const Kernel *kernel;
        bool (*runs)(void);
    } kernels[] = {
#if defined(__x86_64__)
        {&kernel_avx512vnni, has_avx512vnni},
        {&kernel_avx2, has_avx2},
#elif defined(__aarch64__)
        {&kernel_dotprod, has_dotprod},
#endif
        {&kernel_portable, always},
    };
    const char *wanted = getenv("TURNOUT_KERNEL");
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if ((!wanted || !strcmp(wanted, kernels[i].kernel->name)) && kernels[i].runs()) return kernels[i].kernel;
    return 0;
}

/* ---- when a session is opened ---- */

/* Reads type and shape of a tensor; a rank above `most` is refused. */
static OrtStatus *shape_of(OrtApi api, const OrtValue *value, int *type, int64_t *sizes, size_t most, size_t *rank) {
    OrtTensorTypeAndShapeInfo *shape;
    TRY(GetTensorTypeAndShape(api)(value, &shape));
    OrtStatus *status = GetTensorElementType(api)(shape, type);
    if (!status) status = GetDimensionsCount(api)(shape, rank);
    if (!status && *rank > most) status = invalid(api, "EncoderLayer: an input has too many axes");
    if (!status) status = GetDimensions(api)(shape, sizes, *rank);
    ReleaseTensorTypeAndShapeInfo(api)(shape);
    return status;
}

/* Points to the data of a constant input of so many elements. */
static OrtStatus *constant(OrtApi api, const OrtKernelInfo *info, int which, int type, int64_t elements, const void *to) {
    int is_constant = 0, its_type;
    const OrtValue *value = 0;
    int64_t sizes[4], count = 1;
    size_t rank;
    TRY(KernelInfoGetConstantInput_tensor(api)(info, which, &is_constant, &value));
    if (!is_constant || !value) return invalid(api, "EncoderLayer: an input that has to be constant is not");
    TRY(shape_of(api, value, &its_type, sizes, 4, &rank));
    for (size_t i = 0; i < rank; i++) count *= sizes[i];
    if (its_type != type || count != elements) return invalid(api, "EncoderLayer: an input has another type or size");
    return GetTensorMutableData(api)((OrtValue *)value, (void **)to);
}

static OrtStatus *linear(OrtApi api, const OrtKernelInfo *info, int product, int64_t rows, int64_t columns, Linear *l) {
    int at = PRODUCTS + PARTS * product;
    TRY(constant(api, info, at, ORT_INT8, rows * columns, &l->weight));
    TRY(constant(api, info, at + 1, ORT_FLOAT, columns, &l->scale));
    TRY(constant(api, info, at + 2, ORT_FLOAT, columns, &l->bias));
    TRY(constant(api, info, at + 3, ORT_INT32, columns, &l->sum));
    return constant(api, info, at + 4, ORT_FLOAT, rows, &l->smooth);
}

static OrtStatus *read_layer(OrtApi api, const OrtKernelInfo *info, Layer *l) {
    TRY(KernelInfoGetAttribute_int64(api)(info, "heads", &l->heads));
    TRY(KernelInfoGetAttribute_int64(api)(info, "hidden", &l->hidden));
    TRY(KernelInfoGetAttribute_int64(api)(info, "inner", &l->inner));
    TRY(KernelInfoGetAttribute_int64(api)(info, "activation", &l->activation));
    TRY(KernelInfoGetAttribute_float(api)(info, "epsilon", &l->epsilon));
    if (l->activation < 0 || l->activation >= ACTIVATIONS) return invalid(api, "EncoderLayer: its activation is not known");
    bool sizes = l->heads > 0 && l->hidden > 0 && l->hidden <= WIDEST / 4 && l->inner > 0 && l->inner <= WIDEST;
    if (!sizes || l->hidden % l->heads || l->hidden / l->heads % 16 || l->hidden / l->heads > MAX_HEAD || l->inner % 16)
        return invalid(api, "EncoderLayer: its sizes are no multiples of 16, or too large");
    TRY(linear(api, info, 0, l->hidden, 3 * l->hidden, &l->qkv));
    TRY(linear(api, info, 1, l->hidden, l->hidden, &l->out));
    TRY(linear(api, info, 2, l->hidden, l->inner, &l->up));
    TRY(linear(api, info, 3, l->inner, l->hidden, &l->down));
    for (int i = 0; i < 2; i++) {
        TRY(constant(api, info, NORMALIZATIONS + 2 * i, ORT_FLOAT, l->hidden, &l->gain[i]));
        TRY(constant(api, info, NORMALIZATIONS + 2 * i + 1, ORT_FLOAT, l->hidden, &l->shift[i]));
    }
    return 0;
}

static OrtStatus *create(const OrtCustomOp *op, OrtApi api, const OrtKernelInfo *info, void **to) {
    (void)op;
    State *state = calloc(1, sizeof *state);
    if (!state) return no_memory(api);
    state->api = api;
    state->kernel = choose();
    OrtStatus *status = state->kernel ? read_layer(api, info, &state->layer)
                                      : invalid(api, "EncoderLayer: this processor does not run TURNOUT_KERNEL");
    if (status) free(state);
    else *to = state;
    return status;
}

static void destroy(void *state) { free(state); }

/* ---- scratch ---- */

/* The scratch of the last run, for the next one: to map and clear new pages would take a tenth of a run. */
typedef struct {
    size_t bytes;
} Scratch;
enum { HEADER = 64 };
static _Atomic(Scratch *) kept;

static Scratch *borrow(size_t bytes) {
    Scratch *scratch = atomic_exchange(&kept, 0);
    if (scratch && scratch->bytes >= bytes) return scratch;
    free(scratch);
    scratch = aligned_alloc(HEADER, HEADER + (bytes + HEADER - 1) / HEADER * HEADER);
    if (scratch) scratch->bytes = bytes;
    return scratch;
}

static void give_back(Scratch *scratch) { free(atomic_exchange(&kept, scratch)); }

/* ---- a run ---- */

typedef struct {
    const Kernel *kernel;
    const Run *run;
} Job;

static void work(void *job, size_t worker) {
    const Job *j = job;
    j->kernel->work(j->run, (int)worker);
}

/* Returns the rows of a block: as many blocks as threads can share evenly, but of 4 rows at least. A session does not say
   how many threads it has; attention shows it, whose heads are always shared out. */
static int block_of(int tokens, unsigned used) {
    int threads = __builtin_popcount(used), blocks = (tokens + BLOCK_ROWS - 1) / BLOCK_ROWS;
    if (threads < 2) return BLOCK_ROWS;
    blocks = (blocks + threads - 1) / threads * threads;
    int rows = (tokens + blocks - 1) / blocks;
    return rows < 4 ? 4 : rows;
}

static OrtStatus *run_phases(State *state, Run *run, const OrtKernelContext *context) {
    Scratch *scratch = borrow(state->kernel->scratch(run));
    if (!scratch) return no_memory(state->api);
    run->scratch = (char *)scratch + HEADER;
    state->kernel->prepare(run);
    _Atomic unsigned slots = 0;
    run->slots = &slots;
    run->used = &state->used;
    run->block = block_of(run->tokens, atomic_load(&state->used));
    Job job = {.kernel = state->kernel, .run = run};
    OrtStatus *status = 0;
    for (run->phase = 0; run->phase < PHASES && !status; run->phase++) {
        run->workers = state->kernel->workers(run);
        if (run->workers == 1) work(&job, 0);
        else status = KernelContext_ParallelFor(state->api)(context, work, run->workers, run->workers, &job);
    }
    give_back(scratch);
    return status;
}

/* Lists the rows that are no padding, text after text, and clears the others in y. */
static void list_rows(Run *run, const int32_t *mask, int tokens, int32_t *row, int32_t *start) {
    size_t bytes = run->layer->hidden * sizeof(float);
    for (int text = 0; text < run->texts; text++) {
        start[text] = run->tokens;
        for (int at = text * tokens; at < (text + 1) * tokens; at++) {
            if (mask[at]) row[run->tokens++] = at;
            else memset((char *)run->y + at * bytes, 0, bytes);
        }
        int length = run->tokens - start[text];
        if (length > run->longest) run->longest = length;
    }
    start[run->texts] = run->tokens;
}

/* Points to what is added to the scores; null where the graph has nothing. */
static OrtStatus *read_positions(OrtApi api, const OrtKernelContext *context, const Run *run, const float **to) {
    const OrtValue *value = 0;
    int type;
    int64_t sizes[4];
    size_t rank;
    TRY(KernelContext_GetInput(api)(context, POSITIONS, &value));
    if (!value) return 0;
    TRY(shape_of(api, value, &type, sizes, 4, &rank));
    if (rank != 4 || sizes[0] != 1 || sizes[1] != run->layer->heads || sizes[2] != run->padded || sizes[3] != run->padded)
        return invalid(api, "EncoderLayer: what is added to scores is not [1, heads, tokens, tokens]");
    return GetTensorMutableData(api)((OrtValue *)value, (void **)to);
}

static OrtStatus *compute(void *kernel, OrtKernelContext *context) {
    State *state = kernel;
    OrtApi api = state->api;
    const OrtValue *x, *mask;
    OrtValue *y;
    void *data[3];
    int type;
    int64_t sizes[3], masked[2];
    size_t rank, mask_rank;
    TRY(KernelContext_GetInput(api)(context, X, &x));
    TRY(KernelContext_GetInput(api)(context, MASK, &mask));
    TRY(shape_of(api, x, &type, sizes, 3, &rank));
    TRY(shape_of(api, mask, &type, masked, 2, &mask_rank));
    if (rank != 3 || sizes[2] != state->layer.hidden) return invalid(api, "EncoderLayer: x is not [texts, tokens, hidden]");
    if (mask_rank != 2 || masked[0] != sizes[0] || masked[1] != sizes[1])
        return invalid(api, "EncoderLayer: the mask is not [texts, tokens]");
    if (sizes[1] > MOST_TOKENS || (sizes[1] && sizes[0] > MOST_POSITIONS / sizes[1]))
        return invalid(api, "EncoderLayer: there are too many tokens");
    if (sizes[0] > INT32_MAX / 2 / state->layer.heads) return invalid(api, "EncoderLayer: there are too many texts");
    TRY(KernelContext_GetOutput(api)(context, 0, sizes, 3, &y));
    TRY(GetTensorMutableData(api)((OrtValue *)x, &data[0]));
    TRY(GetTensorMutableData(api)((OrtValue *)mask, &data[1]));
    TRY(GetTensorMutableData(api)(y, &data[2]));
    size_t positions = sizes[0] * sizes[1];
    if (!positions) return 0;
    int32_t *row = malloc((positions + sizes[0] + 1) * sizeof *row);
    if (!row) return no_memory(api);
    int32_t *start = row + positions;
    Run run = {.layer = &state->layer, .x = data[0], .y = data[2], .texts = (int)sizes[0], .padded = (int)sizes[1],
        .row = row, .start = start};
    list_rows(&run, data[1], (int)sizes[1], row, start);
    OrtStatus *status = read_positions(api, context, &run, &run.positions);
    if (!status && run.tokens) status = run_phases(state, &run, context);
    free(row);
    return status;
}

/* ---- what the operator is ---- */

static const char *name(const OrtCustomOp *op) { return (void)op, "EncoderLayer"; }
static const char *provider(const OrtCustomOp *op) { return (void)op, "CPUExecutionProvider"; }
static int input_type(const OrtCustomOp *op, size_t i) {
    static const int types[PARTS] = {ORT_INT8, ORT_FLOAT, ORT_FLOAT, ORT_INT32, ORT_FLOAT};
    (void)op;
    if (i == MASK) return ORT_INT32;
    return i < PRODUCTS || i >= NORMALIZATIONS ? ORT_FLOAT : types[(i - PRODUCTS) % PARTS];
}
static size_t inputs(const OrtCustomOp *op) { return (void)op, INPUTS; }
static int output_type(const OrtCustomOp *op, size_t i) { return (void)op, (void)i, ORT_FLOAT; }
static size_t outputs(const OrtCustomOp *op) { return (void)op, 1; }
/* INPUT_OUTPUT_REQUIRED is 0, INPUT_OUTPUT_OPTIONAL 1. */
static int optional(const OrtCustomOp *op, size_t i) { return (void)op, i == POSITIONS; }
static int required(const OrtCustomOp *op, size_t i) { return (void)op, (void)i, 0; }
static int one(const OrtCustomOp *op) { return (void)op, 1; }
static int any_later(const OrtCustomOp *op) { return (void)op, INT32_MAX; }

static const OrtCustomOp operator = {.version = ORT_VERSION,
    .GetName = name,
    .GetExecutionProviderType = provider,
    .GetInputType = input_type,
    .GetInputTypeCount = inputs,
    .GetOutputType = output_type,
    .GetOutputTypeCount = outputs,
    .KernelDestroy = destroy,
    .GetInputCharacteristic = optional,
    .GetOutputCharacteristic = required,
    .GetInputMemoryType = required,
    .GetVariadicInputMinArity = one,
    .GetVariadicInputHomogeneity = one,
    .GetVariadicOutputMinArity = one,
    .GetVariadicOutputHomogeneity = one,
    .CreateKernelV2 = create,
    .KernelComputeV2 = compute,
    .GetStartVersion = one,
    .GetEndVersion = any_later};

static _Atomic(OrtCustomOpDomain *) made;
static _Atomic(OrtApi) used;

/* ONNX Runtime unloads the library with the last of the sessions that know it. */
__attribute__((destructor)) static void unload(void) {
    free(atomic_exchange(&kept, 0));
    OrtCustomOpDomain *domain = atomic_exchange(&made, 0);
    if (domain) ReleaseCustomOpDomain(atomic_load(&used))(domain);
}

/* ONNX Runtime calls this when the library is registered; the domain outlives all sessions that know it. */
__attribute__((visibility("default"))) OrtStatus *RegisterCustomOps(OrtSessionOptions *options, const OrtApiBase *base);
OrtStatus *RegisterCustomOps(OrtSessionOptions *options, const OrtApiBase *base) {
    OrtApi api = base->GetApi(ORT_VERSION);
    if (!api) return 0; /* an older ONNX Runtime, which has said so: it will not know the operator */
    atomic_store(&used, api);
    OrtCustomOpDomain *domain = atomic_load(&made), *none = 0;
    if (!domain) {
        TRY(CreateCustomOpDomain(api)("turnout", &domain));
        TRY(CustomOpDomain_Add(api)(domain, &operator));
        if (!atomic_compare_exchange_strong(&made, &none, domain)) {
            ReleaseCustomOpDomain(api)(domain);
            domain = none;
        }
    }
    return AddCustomOpDomain(api)(options, domain);
}
