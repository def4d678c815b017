"""What runs where TensorFlow is, and nothing of ours is: a SavedModel or TFLite file to ONNX, and its own answers.

`python -I converting.py convert SOURCE SIGNATURE MODEL` or `answer SOURCE SIGNATURE FEEDS ANSWERS`; the signature is
JSON (see build.signature) with the outputs that are `picked`. What goes wrong is the last line of standard error.
"""

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

OPSET = 18
Said = dict[str, Any]
Answers = Callable[[Sequence[Any]], list[Any]]


def convert(source: str, said: Said, destination: str) -> None:
    """By tf2onnx's command line, which is what it promises to keep."""
    import onnx
    from tf2onnx import convert as tf2onnx

    if os.path.isdir(source):
        sort = ["--saved-model", source, "--tag", "serve", "--signature_def", said["key"]]
    else:
        # Weights as the numbers they stand for: they are quantized anew, each in the way that is measured to do.
        sort = ["--tflite", source, *(["--dequantize"] if said["quantized"] else [])]
    sys.argv = ["tf2onnx", *sort, "--opset", str(OPSET), "--output", destination]
    with contextlib.redirect_stdout(io.StringIO()):
        tf2onnx.main()
    model = onnx.load(destination)
    if unknown := sorted({node.op_type for node in _nodes(model.graph) if not _known(onnx, node)}):
        raise ValueError(f"ONNX has no operators for {', '.join(unknown)}")
    _reorder(model.graph.input, [tensor["name"] for tensor in said["inputs"]])
    _reorder(model.graph.output, [tensor["name"] for tensor in said["outputs"]])
    outputs = list(model.graph.output)
    del model.graph.output[:]
    model.graph.output.extend(outputs[i] for i in said["picked"])
    onnx.save(model, destination)


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from _nodes(attribute.g)


def _known(onnx: Any, node: Any) -> bool:
    """tf2onnx leaves what it cannot convert as it is, and says that all went well."""
    return bool(onnx.defs.has(node.op_type, node.domain))


def _reorder(values: Any, names: Sequence[str]) -> None:
    """By name where the names were kept; a TFLite file's were not, but their order was."""
    found = {value.name: value for value in values}
    if set(found) == set(names):
        del values[:]
        values.extend(found[name] for name in names)
    elif len(found) != len(names):
        raise ValueError(f"the graph has {', '.join(found)} where there were {', '.join(names)}")


def answer(source: str, said: Said, feeds: str, answers: str) -> None:
    import numpy as np

    ask = _saved_model(source, said) if os.path.isdir(source) else _tflite(source, said)
    found: dict[str, Any] = {}
    count = len(said["inputs"])
    with np.load(feeds, allow_pickle=False) as asked:
        for i in range(len(asked.files) // count):
            numbers = ask([asked[f"{i}.{k}"] for k in range(count)])
            for k, picked in enumerate(said["picked"]):
                found[f"{i}.{k}"] = np.asarray(numbers[picked], np.float32)
    np.savez(answers, **found)


def _saved_model(source: str, said: Said) -> Answers:
    import tensorflow as tf

    model = tf.saved_model.load(source)
    function = model.signatures[said["key"]]

    def ask(arrays: Sequence[Any]) -> list[Any]:
        tensors = {
            tensor["name"]: tf.constant(array, tensor["kind"])
            for tensor, array in zip(said["inputs"], arrays, strict=True)
        }
        answered = function(**tensors)
        return [answered[tensor["name"]].numpy() for tensor in said["outputs"]]

    # The function lives as long as its model does.
    return lambda arrays: ask(arrays) if model else []


def _tflite(source: str, said: Said) -> Answers:
    import warnings

    warnings.simplefilter("ignore")
    from tensorflow.lite.python.interpreter import Interpreter

    interpreter: Any = Interpreter(source)

    def ask(arrays: Sequence[Any]) -> list[Any]:
        inputs = interpreter.get_input_details()
        for place, array in zip(inputs, arrays, strict=True):
            interpreter.resize_tensor_input(place["index"], array.shape)
        interpreter.allocate_tensors()
        for place, array in zip(inputs, arrays, strict=True):
            interpreter.set_tensor(place["index"], array.astype(place["dtype"]))
        interpreter.invoke()
        return [interpreter.get_tensor(p["index"]) for p in interpreter.get_output_details()]

    return ask


def main(step: str, source: str, signature: str, *files: str) -> None:
    steps: dict[str, Callable[..., None]] = {"convert": convert, "answer": answer}
    try:
        steps[step](source, json.loads(signature), *files)
    except Exception as error:  # whatever it is, a user reads one line of it
        line = " ".join(str(error).split())
        sys.exit(f"{type(error).__name__}: {line}")


if __name__ == "__main__":
    main(*sys.argv[1:])
