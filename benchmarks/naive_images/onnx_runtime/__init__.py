"""The quantized model in ONNX Runtime, with its tokenizer."""
