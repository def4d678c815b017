"""Export to ONNX and fuse."""
