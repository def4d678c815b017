"""An artefact that writes, in a process of its own: a request is a line of its input, and its stream the output.

Its threads spin while they wait for each other, as in a function, unless the word `waits` is given.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import onnxruntime as ort

from contracts.manifest import MODEL
from contracts.prediction import parse_request
from contracts.streaming import line_of
from functions.inference.decoder import Decoder
from functions.inference.engine import Engine
from functions.inference.generation import Generator
from functions.inference.session import PROVIDERS, options


def waiting(engine: Engine, model: Path, threads: int) -> Engine:
    """Return the engine with threads that do not spin."""
    assert isinstance(engine.model, Generator)
    assert isinstance(engine.model.decoder, Decoder)
    chosen = options(threads)
    chosen.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(str(model), chosen, providers=PROVIDERS["cpu"])
    decoder = replace(engine.model.decoder, session=session)
    return replace(engine, model=replace(engine.model, decoder=decoder))


def main() -> None:
    folder, threads = Path(sys.argv[1]), int(sys.argv[2])
    engine = Engine.load(folder, threads=threads)
    if "waits" in sys.argv[3:]:
        engine = waiting(engine, folder / MODEL, threads)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        for item in engine.stream(parse_request(json.loads(line))):
            sys.stdout.buffer.write(line_of(item))
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
