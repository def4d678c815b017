/* The part of ONNX Runtime's C API that is used here.

   Its table of functions only ever grows at the end, so a function's place in it is the same in all later versions:
   https://github.com/microsoft/onnxruntime/blob/main/docs/Versioning.md and onnxruntime_c_api.h, whose names these are. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct OrtStatus OrtStatus;
typedef struct OrtValue OrtValue;
typedef struct OrtKernelInfo OrtKernelInfo;
typedef struct OrtKernelContext OrtKernelContext;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtCustomOpDomain OrtCustomOpDomain;
typedef struct OrtTensorTypeAndShapeInfo OrtTensorTypeAndShapeInfo;
typedef void (*const *OrtApi)(void);
typedef struct { OrtApi (*GetApi)(uint32_t version); const char *(*GetVersionString)(void); } OrtApiBase;

enum { ORT_FAIL = 1, ORT_INVALID_ARGUMENT = 2 };
enum { ORT_FLOAT = 1, ORT_INT8 = 3, ORT_INT32 = 6 };
/* KernelInfoGetConstantInput_tensor is of version 15. */
enum { ORT_VERSION = 17 };

#define ORT(api, place, result, ...) ((result (*)(__VA_ARGS__))(api)[place])
#define CreateStatus(api) ORT(api, 0, OrtStatus *, int, const char *)
#define CreateCustomOpDomain(api) ORT(api, 26, OrtStatus *, const char *, OrtCustomOpDomain **)
#define CustomOpDomain_Add(api) ORT(api, 27, OrtStatus *, OrtCustomOpDomain *, const OrtCustomOp *)
#define AddCustomOpDomain(api) ORT(api, 28, OrtStatus *, OrtSessionOptions *, OrtCustomOpDomain *)
#define GetTensorMutableData(api) ORT(api, 51, OrtStatus *, OrtValue *, void **)
#define GetTensorElementType(api) ORT(api, 60, OrtStatus *, const OrtTensorTypeAndShapeInfo *, int *)
#define GetDimensionsCount(api) ORT(api, 61, OrtStatus *, const OrtTensorTypeAndShapeInfo *, size_t *)
#define GetDimensions(api) ORT(api, 62, OrtStatus *, const OrtTensorTypeAndShapeInfo *, int64_t *, size_t)
#define GetTensorTypeAndShape(api) ORT(api, 65, OrtStatus *, const OrtValue *, OrtTensorTypeAndShapeInfo **)
#define KernelInfoGetAttribute_float(api) ORT(api, 85, OrtStatus *, const OrtKernelInfo *, const char *, float *)
#define KernelInfoGetAttribute_int64(api) ORT(api, 86, OrtStatus *, const OrtKernelInfo *, const char *, int64_t *)
#define KernelContext_GetInput(api) ORT(api, 90, OrtStatus *, const OrtKernelContext *, size_t, const OrtValue **)
#define KernelContext_GetOutput(api) \
    ORT(api, 91, OrtStatus *, OrtKernelContext *, size_t, const int64_t *, size_t, OrtValue **)
#define ReleaseTensorTypeAndShapeInfo(api) ORT(api, 99, void, OrtTensorTypeAndShapeInfo *)
#define ReleaseCustomOpDomain(api) ORT(api, 101, void, OrtCustomOpDomain *)
#define KernelInfoGetConstantInput_tensor(api) \
    ORT(api, 249, OrtStatus *, const OrtKernelInfo *, size_t, int *, const OrtValue **)
#define KernelContext_ParallelFor(api) \
    ORT(api, 274, OrtStatus *, const OrtKernelContext *, void (*)(void *, size_t), size_t, size_t, void *)

typedef struct OrtCustomOp {
    uint32_t version;
    void *(*CreateKernel)(const struct OrtCustomOp *, OrtApi, const OrtKernelInfo *);
    const char *(*GetName)(const struct OrtCustomOp *);
    const char *(*GetExecutionProviderType)(const struct OrtCustomOp *);
    int (*GetInputType)(const struct OrtCustomOp *, size_t);
    size_t (*GetInputTypeCount)(const struct OrtCustomOp *);
    int (*GetOutputType)(const struct OrtCustomOp *, size_t);
    size_t (*GetOutputTypeCount)(const struct OrtCustomOp *);
    void (*KernelCompute)(void *, OrtKernelContext *);
    void (*KernelDestroy)(void *);
    int (*GetInputCharacteristic)(const struct OrtCustomOp *, size_t);
    int (*GetOutputCharacteristic)(const struct OrtCustomOp *, size_t);
    int (*GetInputMemoryType)(const struct OrtCustomOp *, size_t);
    int (*GetVariadicInputMinArity)(const struct OrtCustomOp *);
    int (*GetVariadicInputHomogeneity)(const struct OrtCustomOp *);
    int (*GetVariadicOutputMinArity)(const struct OrtCustomOp *);
    int (*GetVariadicOutputHomogeneity)(const struct OrtCustomOp *);
    OrtStatus *(*CreateKernelV2)(const struct OrtCustomOp *, OrtApi, const OrtKernelInfo *, void **);
    OrtStatus *(*KernelComputeV2)(void *, OrtKernelContext *);
    void *InferOutputShapeFn;
    int (*GetStartVersion)(const struct OrtCustomOp *);
    int (*GetEndVersion)(const struct OrtCustomOp *);
    void *GetMayInplace, *ReleaseMayInplace, *GetAliasMap, *ReleaseAliasMap;
} OrtCustomOp;
