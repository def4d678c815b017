"""The versions of ONNX: those that graphs are made in, and the oldest operator set that is read."""

# The oldest operator set that has all the operators which ONNX Runtime's optimiser looks for.
# Fused attention raises a graph to 23: `ATTENTION_OPSET` of `build/export/attention_fusion.py`.
OPSET = 18
# The version of the file format: https://onnx.ai/onnx/repo-docs/Versioning.html pairs it with operator sets.
IR_VERSION = 10
# A graph of an older set is converted to ours or refused: there axes and scales are attributes, which neither the
# fusions nor the quantizer look for.
MIN_OPSET = 13
