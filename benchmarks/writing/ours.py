"""An artefact that writes, in a process of its own: a request is a line of its input, and its stream the output."""

import json
import sys
from pathlib import Path

from contracts.prediction import parse_request
from contracts.streaming import line_of
from functions.inference.engine import Engine


def main() -> None:
    folder, threads = Path(sys.argv[1]), int(sys.argv[2])
    engine = Engine.load(folder, threads=threads)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        for item in engine.stream(parse_request(json.loads(line))):
            sys.stdout.buffer.write(line_of(item))
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
