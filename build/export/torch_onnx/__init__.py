"""Export by torch.onnx: the model is loaded by transformers and traced, in a process of its own."""
