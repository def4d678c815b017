"""Run recorded layers, and print the digests of their answers: for a Python that has NumPy and ONNX Runtime alone."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

folder, library = Path(sys.argv[1]), sys.argv[2]
options = onnxruntime.SessionOptions()
options.register_custom_ops_library(library)
digests = []
for graph in sorted(folder.glob("*.onnx")):
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    with np.load(graph.with_suffix(".npz")) as feeds:
        y = session.run(None, dict(feeds))[0]
    digests.append(hashlib.sha256(y.tobytes()).hexdigest())
sys.stdout.write(json.dumps(digests))
