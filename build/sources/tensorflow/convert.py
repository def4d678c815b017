"""Conversion of a SavedModel or TFLite file to ONNX, and reference outputs; runs where TensorFlow is installed.

`python -I convert.py convert SOURCE SIGNATURE OPSET MODEL` or `predict SOURCE SIGNATURE FEEDS OUTPUTS`. SIGNATURE is
JSON (see build.sources.tensorflow.signature) with the places of the `picked` outputs. An error is the last line of
standard error. Nothing of ours is imported, as the environment holds none of it.
"""

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Signature = dict[str, Any]
Arrays = Sequence[Any]


def convert(source: str, signature: Signature, opset: str, destination: str) -> None:
    """Convert by tf2onnx's command line, the interface that it documents and keeps stable."""
    import onnx
    from tf2onnx import convert as tf2onnx

    if os.path.isdir(source):
        model_flags = ["--saved-model", source, "--tag", "serve", "--signature_def"]
        model_flags.append(signature["key"])
    else:
        # Weights are dequantized: each recipe quantizes them anew, and its loss is measured.
        model_flags = ["--tflite", source, *(["--dequantize"] if signature["quantized"] else [])]
    sys.argv = ["tf2onnx", *model_flags, "--opset", opset, "--output", destination]
    with contextlib.redirect_stdout(io.StringIO()):
        tf2onnx.main()
    model = onnx.load(destination)
    # tf2onnx leaves operators that it cannot convert in the graph and reports success.
    if unknown := {
        n.op_type for n in _nodes(model.graph) if not onnx.defs.has(n.op_type, n.domain)
    }:
        raise ValueError(f"ONNX has no operators for {', '.join(sorted(unknown))}")
    _reorder(model.graph.input, [tensor["name"] for tensor in signature["inputs"]])
    _reorder(model.graph.output, [tensor["name"] for tensor in signature["outputs"]])
    outputs = list(model.graph.output)
    del model.graph.output[:]
    model.graph.output.extend(outputs[i] for i in signature["picked"])
    onnx.save(model, destination)


def _nodes(graph: Any) -> Iterator[Any]:
    """Yield the nodes of a graph and of the graphs within them, such as the body of a loop."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from _nodes(attribute.g)


def _reorder(values: Any, names: Sequence[str]) -> None:
    """Put values in the order of the names; tf2onnx renames those of a TFLite file, but keeps their order."""
    by_name = {value.name: value for value in values}
    if set(by_name) == set(names):
        del values[:]
        values.extend(by_name[name] for name in names)
    elif len(by_name) != len(names):
        raise ValueError(f"the graph has {', '.join(by_name)} where there were {', '.join(names)}")


def predict(source: str, signature: Signature, feeds: str, outputs: str) -> None:
    """Run the model on each request in the .npz file `feeds`; write its picked outputs to the .npz file `outputs`."""
    import numpy as np

    run = _saved_model(source, signature) if os.path.isdir(source) else _tflite(source)
    saved: dict[str, Any] = {}
    count = len(signature["inputs"])
    with np.load(feeds, allow_pickle=False) as arrays:
        for i in range(len(arrays.files) // count):
            results = run([arrays[f"{i}.{k}"] for k in range(count)])
            for k, place in enumerate(signature["picked"]):
                saved[f"{i}.{k}"] = np.asarray(results[place], np.float32)
    np.savez(outputs, **saved)


def _saved_model(source: str, signature: Signature) -> Callable[[Arrays], list[Any]]:
    import tensorflow as tf

    model = tf.saved_model.load(source)
    function = model.signatures[signature["key"]]

    def run(arrays: Arrays) -> list[Any]:
        tensors = {
            tensor["name"]: tf.constant(array, tensor["kind"])
            for tensor, array in zip(signature["inputs"], arrays, strict=True)
        }
        results = function(**tensors)
        return [results[tensor["name"]].numpy() for tensor in signature["outputs"]]

    # Keeps a reference to the model: its function is unusable once the model is collected.
    return lambda arrays: run(arrays) if model else []


def _tflite(source: str) -> Callable[[Arrays], list[Any]]:
    import warnings

    # TensorFlow warns that its interpreter moves to another package.
    warnings.simplefilter("ignore")
    from tensorflow.lite.python.interpreter import Interpreter

    interpreter: Any = Interpreter(source)

    def run(arrays: Arrays) -> list[Any]:
        inputs = interpreter.get_input_details()
        for tensor, array in zip(inputs, arrays, strict=True):
            interpreter.resize_tensor_input(tensor["index"], array.shape)
        interpreter.allocate_tensors()
        for tensor, array in zip(inputs, arrays, strict=True):
            interpreter.set_tensor(tensor["index"], array.astype(tensor["dtype"]))
        interpreter.invoke()
        return [interpreter.get_tensor(t["index"]) for t in interpreter.get_output_details()]

    return run


def main(step: str, source: str, signature: str, *files: str) -> None:
    steps: dict[str, Callable[..., None]] = {"convert": convert, "predict": predict}
    try:
        steps[step](source, json.loads(signature), *files)
    except Exception as error:  # TensorFlow raises anything; a user reads one line of it
        line = " ".join(str(error).split())
        sys.exit(f"{type(error).__name__}: {line}")


if __name__ == "__main__":
    main(*sys.argv[1:])
