"""Formats that a model may be saved in, by file name; a hint for every file that cannot be built."""

HUGGING_FACE, ONNX, TORCHSCRIPT = "Hugging Face folder", "ONNX graph", "TorchScript file"
ARPA, GGUF = "ARPA file", "GGUF file"
SAVED_MODEL, TFLITE = "TensorFlow SavedModel", "TFLite file"
TENSORFLOW, WORD_VECTORS, UNRECOGNISED = "TensorFlow model", "file of word vectors", "model"

# The format of a file by the end of its name.
SUFFIXES = {
    ".onnx": ONNX,
    ".pt": TORCHSCRIPT,
    ".ts": TORCHSCRIPT,
    ".tflite": TENSORFLOW,
    ".gguf": GGUF,
    ".arpa": ARPA,
    ".arpa.gz": ARPA,
}
PICKLES = "pytorch_model*.bin*"
LOOKED_FOR = (
    "looked for a Hugging Face folder, .onnx, TorchScript as .pt or .ts, a SavedModel folder, .tflite, "
    ".gguf, and .arpa or .arpa.gz"
)
# A Lambda layer is Python code, which older versions of Keras run whatever they are told (CVE-2024-3660).
KERAS = (
    "a Keras file, which may hold code that runs when it is loaded; save the model as a SavedModel folder with "
    "`model.export(folder)`"
)
UNKNOWN_FILE = {
    ".keras": KERAS,
    ".h5": KERAS,
    ".hdf5": KERAS,
    ".pb": "a TensorFlow graph alone; name the SavedModel folder that it belongs to, or make one",
    ".bin": "a pickle, which runs code when it is loaded; save the model as safetensors",
    ".pkl": "a pickle, which runs code when it is loaded; save the model as safetensors",
    **dict.fromkeys(
        (".vec", ".w2v", ".glove"), "word vectors, which only `task` word-vectors serves"
    ),
    ".safetensors": "weights alone; name the folder that has their config.json and tokenizer.json as well",
}
