"""The code that runs in AWS: one folder per deployed thing; `inference/` is shared by `cpu/` and `gpu/`."""
