"""Operators of our own for ONNX Runtime, in C: a library for each architecture, which an artefact brings along.

`layer.c` computes a layer of a BERT encoder, once for each set of instructions (`simd.h`); `operator.c` reads and
checks what ONNX Runtime hands over by the part of its API in `ort.h`. `make kernels` compiles them (`compile.py`).
"""
