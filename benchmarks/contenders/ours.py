"""Our artefact: its graph alone, a request from text to answer, and generation."""

from benchmarks.contenders import Item, Opened, Setting
from benchmarks.contenders.candidates import opened
from contracts.prediction import PredictRequest, TierAnswer
from functions.inference.engine import Engine


def graph(setting: Setting) -> Opened:
    """Open the sealed graph in the runtime that serves it, on prepared tokens."""
    from contracts.manifest import read_manifest

    manifest = read_manifest(setting.artefact)
    version = manifest.toolchain[manifest.runtime]
    return opened(setting, setting.artefact, manifest.runtime, version)


def request(setting: Setting) -> Opened:
    """Open the function's path for one text: check, tokenise, run, postprocess, check the answer."""
    engine = Engine.load(setting.artefact, threads=setting.threads)
    labels = list(engine.manifest.labels)

    def read(answer: TierAnswer) -> list[int]:
        return [labels.index(answer.outputs[0]["label"])]

    return Opened(
        prepare=lambda item: PredictRequest(inputs=(item.text,), parameters={}),
        run=engine.predict,
        read=read,
        version=engine.manifest.version,
    )


def writes(setting: Setting) -> Opened:
    """Open generation: the prompt is prefilled and the following tokens are run one by one; tokenisation is timed."""
    from functions.inference.generation import Generator

    model = Engine.load(setting.artefact, threads=setting.threads).model
    if not isinstance(model, Generator):
        raise SystemExit(f"{setting.artefact} is not a model that writes")

    def run(item: Item) -> list[int]:
        return model.teacher_forced(item.text, item.continuation)[0]

    return Opened(run=run)
