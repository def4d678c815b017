"""Tiny Keras models, saved as people save them. Runs where TensorFlow is: `python -I tiny_tensorflow.py FOLDER`.

FOLDER has ids.json, the tokens of some texts; what each model answers to them is written to NAME.npy.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

WORDS, LENGTH = 40, 16
keras: Any = tf.keras
layers: Any = keras.layers


def padded(folder: Path) -> list[list[int]]:
    asked = json.loads((folder / "ids.json").read_text("utf-8"))
    return [ids + [0] * (LENGTH - len(ids)) for ids in asked]


def model(folder: Path, inner: Any, outputs: int, activation: str, **tokens: Any) -> Any:
    """Embedding, `inner`, two layers; the last weights are such that texts get different labels."""
    read = keras.Input(**tokens, name="tokens")
    embedded = layers.Embedding(WORDS, 32, embeddings_initializer="random_normal")(read)
    hidden = layers.Dense(256, activation="relu")(inner(embedded))
    logits = layers.Dense(outputs, kernel_initializer="random_normal")
    whole = keras.Model(read, layers.Activation(activation)(logits(hidden)))
    before = keras.Model(read, logits.output)(np.array(padded(folder))).numpy()
    scale = 2 / before.std(axis=0)
    kernel, _ = logits.get_weights()
    logits.set_weights([kernel * scale, -before.mean(axis=0) * scale])
    return whole


def export(whole: Any, folder: Path, kind: str) -> None:
    """With a batch of exactly one text, which TFLite's loops need."""
    archive = keras.export.ExportArchive()
    archive.track(whole)
    signature = [tf.TensorSpec([1, LENGTH], kind, name="tokens")]
    archive.add_endpoint("serving_default", lambda tokens: whole(tokens), input_signature=signature)
    archive.write_out(str(folder), verbose=False)


def lite(folder: Path, path: Path, *, quantized: bool) -> None:
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    if quantized:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    path.write_bytes(converter.convert())


def interpreted(path: Path) -> Callable[[Any], Any]:
    interpreter = tf.lite.Interpreter(str(path))
    interpreter.allocate_tensors()

    def ask(ids: Any) -> Any:
        place = interpreter.get_input_details()[0]
        interpreter.set_tensor(place["index"], ids.astype(place["dtype"]))
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    return ask


def answers(folder: Path, name: str, ask: Callable[[Any], Any], *, pad: bool) -> None:
    asked = padded(folder) if pad else json.loads((folder / "ids.json").read_text("utf-8"))
    found = np.concatenate([np.asarray(ask(np.array([ids]))) for ids in asked])
    np.save(folder / f"{name}.npy", found)


def main(folder: Path) -> None:
    keras.utils.set_random_seed(5)
    lstm = model(folder, layers.LSTM(24), 3, "softmax", shape=(None,), dtype="int32")
    lstm.export(str(folder / "lstm"), format="tf_saved_model", verbose=False)
    answers(folder, "lstm", lstm, pad=False)

    pool = layers.GlobalAveragePooling1D()
    mean = model(folder, pool, 1, "sigmoid", shape=(LENGTH,), dtype="int64")
    mean.export(str(folder / "mean-saved"), format="tf_saved_model", verbose=False)
    lite(folder / "mean-saved", folder / "mean.tflite", quantized=False)
    answers(folder, "mean", mean, pad=True)

    inner = layers.Bidirectional(layers.LSTM(24))
    both = model(folder, inner, 3, "softmax", shape=(LENGTH,), dtype="int32")
    export(both, folder / "both-saved", "int32")
    lite(folder / "both-saved", folder / "both.tflite", quantized=True)
    answers(folder, "both", interpreted(folder / "both.tflite"), pad=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
