"""Read, edit and write ONNX graphs."""
