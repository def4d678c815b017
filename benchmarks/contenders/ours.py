"""Our artefact: its graph alone, the whole of a request from text to answer, and writing."""

from benchmarks.contenders import Item, Opened, Setting
from benchmarks.contenders.tokens import arrays, largest
from contracts.prediction import PredictRequest, TierAnswer
from functions.inference.engine import Engine


def graph(setting: Setting) -> Opened:
    """The sealed graph in the session that serves it, on tokens made beforehand."""
    import onnxruntime

    from functions.inference.session import open_session

    session = open_session(setting.artefact / "model.onnx", threads=setting.threads, device="cpu")
    names = [node.name for node in session.get_inputs()]
    output = [session.get_outputs()[0].name]
    return Opened(
        prepare=lambda item: {name: arrays(item)[name] for name in names},
        run=lambda feeds: session.run(output, feeds)[0],
        read=largest,
        version=onnxruntime.__version__,
    )


def request(setting: Setting) -> Opened:
    """What the function does for one text: check, tokenise, run, read, check the answer."""
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
    """The prompt read once and then, token by token, the text that goes on from it; tokenisation is in the time."""
    from functions.inference.generation import Generator

    model = Engine.load(setting.artefact, threads=setting.threads).model
    if not isinstance(model, Generator):
        raise SystemExit(f"{setting.artefact} is not a model that writes")

    def run(item: Item) -> list[int]:
        return model.teacher_forced(item.text, item.along)[0]

    return Opened(prepare=lambda item: item, run=run, read=lambda ids: ids)
