"""`turnout image` makes every image of a deployment, or says what keeps it from that."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from contracts.problems import Code, Problem
from contracts.specs import CpuSpec, Deployment, GpuSpec, ModelSpec
from contracts.tasks import Task
from images.errors import ImageError
from images.image import Contents, Runtime
from images.made.inputs import base_digest
from images.made.record import FILE, read_record
from images.oci.reading import Layout, read_layout
from images.registry.push import Destination
from images.running.probe import Probed
from images.slimming.pieces import Slimming
from tests.fixtures.models.tiny import Tiny, artefact
from tests.images.making import small_runtime, unasked
from tests.images.registry.uploads import upload_registry
from turnout.cli import app
from turnout.image.making import EngineNeeded, Wanted, check_machine, image, show
from turnout.image.pushing import push_recorded

SOURCE = Path("nowhere")
INTENTS = ModelSpec(
    name="intents",
    source=SOURCE,
    task=Task.TEXT_CLASSIFICATION,
    eval=SOURCE,
    cpu=CpuSpec(),
    gpu=GpuSpec(instance="ml.g6.xlarge"),
)
WORDS = ModelSpec(
    name="words", source=SOURCE, task=Task.FEATURE_EXTRACTION, eval=SOURCE, cpu=CpuSpec()
)
SHOP = Deployment(name="shop", models=(INTENTS, WORDS))


def runtime(contents: Contents, base: str, work: Path, blobs: Path, slimming: Slimming) -> Runtime:
    """Return the runtime of a small base, which stands in for one of the network's."""
    return small_runtime(contents, blobs, base)


def wanted(out: Path, *names: str, base: str = "", cuda: bool = True) -> Wanted:
    hashes = {"ci": "0" * 64}
    return Wanted(deployment=SHOP, out=out, key_hashes=hashes, names=names, base=base, cuda=cuda)


def test_every_tier_and_the_router_get_an_image(out: Path, tmp_path: Path) -> None:
    log = Console(file=io.StringIO(), width=80)
    made = image(wanted(out), tmp_path / "images", tmp_path / "work", log, runtime, unasked)
    names = ["shop-router", "shop-intents-cpu", "shop-intents-gpu", "shop-words-cpu"]
    assert [one["image"] for one in made] == names
    written = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert written == sorted([*names, *(f"{name}.cdx.json" for name in names), FILE])
    for one in made:
        bill = json.loads(Path(one["bill"]).read_text("utf-8"))
        assert bill["metadata"]["component"]["version"] == one["digest"]
        models = [
            c["name"] for c in bill.get("components", ()) if c["type"] == "machine-learning-model"
        ]
        # The second artefact is sealed by the name of the fixture that made it.
        named = {"shop-router": [], "shop-words-cpu": ["tiny"]}
        assert models == named.get(one["image"], ["intents"])
        layout = read_layout(Path(one["folder"]))
        assert layout.descriptors[0]["digest"] == one["digest"]
        assert [layer["digest"] for layer in layout.manifest["layers"]] == [
            layer["digest"] for layer in one["layers"]
        ]
        assert one["size"] == sum(layer["size"] for layer in one["layers"])
    assert isinstance(log.file, io.StringIO)
    lines = log.file.getvalue().splitlines()
    assert [line.partition(":")[0] for line in lines if "compressed" in line] == names
    assert list((tmp_path / "work").iterdir()) == []


def test_an_image_is_recorded_as_made_and_then_as_pushed_until_it_is_pushed_again(
    out: Path, tmp_path: Path
) -> None:
    log, images = Console(file=io.StringIO()), tmp_path / "images"
    names = ("shop-router", "shop-words-cpu")
    made = image(
        wanted(out, *names, base="debian"), images, tmp_path / "work", log, runtime, unasked
    )
    record = read_record(images)
    assert (sorted(record.made), record.pushed) == (sorted(names), {})
    of = {one["image"]: one for one in made}
    for name, row in record.made.items():
        layout = read_layout(images / name)
        assert (row.digest, row.size) == (of[name]["digest"], of[name]["size"])
        assert [layer.unpacked for layer in row.layers] == [la.size for la in layout.layers]
        assert (row.base, row.base_digest) == ("debian", base_digest("debian"))
    with upload_registry() as registry:
        to = Destination(host=registry.host, prefix="team")
        push_recorded([of["shop-words-cpu"]], to, images, log)
        assert [repository for repository, _ in registry.manifests] == ["team/shop-words-cpu"]
    (row,) = read_record(images).pushed.values()
    assert row.reference == f"{to.host}/team/shop-words-cpu@{row.digest}"
    again = Wanted(deployment=SHOP, out=out, key_hashes={}, names=("shop-router",))
    image(again, images, tmp_path / "work", log, runtime, unasked)
    changed = read_record(images)
    assert changed.made["shop-router"] != record.made["shop-router"]
    assert changed.pushed == {"shop-words-cpu": row}


def test_models_of_a_deployment_share_all_but_their_weights(out: Path, tmp_path: Path) -> None:
    log = Console(file=io.StringIO())
    made = image(wanted(out), tmp_path / "images", tmp_path / "work", log, runtime, unasked)
    of = {one["image"]: {la["layer"]: la["digest"] for la in one["layers"]} for one in made}
    first, second = of["shop-intents-cpu"], of["shop-words-cpu"]
    assert {name for name in first if first[name] != second[name]} == {"weights"}
    blob = f"blobs/{first['dependencies'].replace(':', '/')}"
    images = tmp_path / "images"
    assert (images / "shop-intents-cpu" / blob).samefile(images / "shop-words-cpu" / blob)


def test_images_can_be_named_and_put_on_another_base(out: Path, tmp_path: Path) -> None:
    log = Console(file=io.StringIO())
    asked = []

    def recorded(
        contents: Contents, base: str, work: Path, blobs: Path, slimming: Slimming
    ) -> Runtime:
        asked.append((contents.name, base))
        return small_runtime(contents, blobs, base)

    places = (tmp_path / "images", tmp_path / "work", log, recorded, unasked)
    image(wanted(out), *places)
    assert asked == [
        ("shop-router", "aws-lambda"),
        ("shop-intents-cpu", "aws-lambda"),
        ("shop-intents-gpu", "python-slim"),
    ]
    asked.clear()
    made = image(wanted(out, "shop-words-cpu", base="debian"), *places)
    assert [one["image"] for one in made] == ["shop-words-cpu"]
    assert asked == [("shop-words-cpu", "debian")]


def test_names_that_there_are_not_are_all_reported(out: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError) as caught:
        image(
            wanted(out, "one", "shop-router", "two"),
            tmp_path,
            tmp_path,
            Console(),
            runtime,
            unasked,
        )
    assert [(p.code.value, p.where) for p in caught.value.problems] == [
        ("model_unknown", "one"),
        ("model_unknown", "two"),
    ]
    assert "there are shop-router, shop-intents-cpu" in str(caught.value)


def test_artefacts_that_are_missing_or_changed_are_all_reported(out: Path, tmp_path: Path) -> None:
    artefact(tmp_path / "intents/cpu", Tiny(model="intents"))
    with (tmp_path / "intents/cpu/model.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ImageError) as caught:
        image(wanted(tmp_path), tmp_path / "images", tmp_path / "work", Console(), runtime, unasked)
    assert [p.code.value for p in caught.value.problems] == [
        *("artefact_broken", "artefact_missing", "artefact_missing"),
    ]
    assert not (tmp_path / "images").exists()


@pytest.mark.parametrize(
    ("system", "machine"), [("Darwin", "arm64"), ("Linux", "aarch64"), ("Windows", "AMD64")]
)
def test_another_system_is_told_that_it_needs_an_engine(system: str, machine: str) -> None:
    with pytest.raises(EngineNeeded, match=f"this is {system} {machine}.*Docker, Finch or Podman"):
        check_machine(system, machine)


def test_the_command_reports_what_is_not_built_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = '[models.a]\nsource = "x"\ntask = "text-classification"\neval = "x"\ncpu = {}\n'
    Path("models.toml").write_text(text, "utf-8")
    done = CliRunner().invoke(app, ["image", "--json"])
    assert isinstance(done.exception, ImageError)
    assert "run `turnout build`" in str(done.exception)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models.toml"]


def test_what_was_made_is_printed_as_a_table_or_as_json(out: Path, tmp_path: Path) -> None:
    log, shown = Console(file=io.StringIO()), io.StringIO()
    made = image(
        wanted(out, "shop-words-cpu"), tmp_path / "i", tmp_path / "w", log, runtime, unasked
    )
    show(made, Console(file=shown, width=160))
    assert "shop-words-cpu" in shown.getvalue()
    assert "dependencies 0.0" in shown.getvalue()
    assert json.loads(json.dumps(made)) == made


def test_the_outcome_of_a_probe_is_printed_and_in_the_document(out: Path, tmp_path: Path) -> None:
    log = Console(file=io.StringIO(), width=80)
    names = ("shop-router", "shop-words-cpu", "shop-intents-gpu")
    places = (tmp_path / "images", tmp_path / "work", log, runtime, unasked)
    made = image(wanted(out, *names), *places)
    assert {one["image"]: one["probe"] for one in made} == {
        "shop-router": "not started: no namespaces",
        "shop-words-cpu": "answered",
        # SageMaker's container is not a function.
        "shop-intents-gpu": "",
    }
    assert isinstance(log.file, io.StringIO)
    assert "probe not started: no namespaces" in log.file.getvalue()
    assert "probe answered from 3 of 4 blocks (75%)" in log.file.getvalue()
    assert {one["image"]: one["blocks"] for one in made} == {
        "shop-router": None,
        "shop-words-cpu": {"read": 3, "of": 4},
        "shop-intents-gpu": None,
    }


def test_an_image_whose_function_fails_its_probe_is_not_kept(out: Path, tmp_path: Path) -> None:
    def failing(contents: Contents, work: Path) -> Callable[[Layout], Probed]:
        def ask(layout: Layout) -> Probed:
            assert layout.config["config"]["Cmd"] == ["functions.cpu.handler.handler"]
            raise ImageError(contents.name, [Problem(code=Code.IMAGE_PROBE, message="answers 5")])

        return ask

    places = (tmp_path / "images", tmp_path / "work", Console(file=io.StringIO()))
    image(wanted(out, "shop-words-cpu"), *places, runtime, unasked)
    before = read_layout(tmp_path / "images/shop-words-cpu").descriptors[0]["digest"]
    with pytest.raises(ImageError, match="answers 5"):
        image(wanted(out, "shop-words-cpu", base="debian"), *places, runtime, failing)
    # The older one is as it was.
    assert read_layout(tmp_path / "images/shop-words-cpu").descriptors[0]["digest"] == before
    assert not [path for path in (tmp_path / "images").iterdir() if path.name.startswith(".")]


def test_what_went_of_an_image_is_printed_with_its_weight(out: Path, tmp_path: Path) -> None:
    log, shown = Console(file=io.StringIO()), io.StringIO()
    places = (tmp_path / "images", tmp_path / "work", log, runtime, unasked)
    [made] = image(wanted(out, "shop-words-cpu"), *places)
    assert (made["removed"], made["restored"]) == ([], [])
    pieces = [
        {"piece": "var/task/numpy/[x]*.pyi", "files": 12, "bytes": 3_000_000},
        {"piece": "usr/lib/python3.13/turtle.py", "files": 2, "bytes": 456},
    ]
    show([{**made, "removed": pieces}], Console(file=shown, width=160), verbose=True)
    lines = [line.split() for line in shown.getvalue().splitlines()]
    assert "shop-words-cpu: 2 pieces went, 3.0 MB uncompressed".split() in lines
    assert lines[-2:] == [
        ["3000000", "12", "var/task/numpy/[x]*.pyi"],
        ["456", "2", "usr/lib/python3.13/turtle.py"],
    ]
