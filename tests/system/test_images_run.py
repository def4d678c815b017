"""The commands of the Dockerfiles, run: locked packages installed, unneeded ones removed, the handler imported.

The differences to a container: uv installs in pip's place, and the interpreter is this machine's.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from contracts.tasks import Tier
from functions.inference.probe import PROBE
from images.dockerfile import instructions
from images.staging import Staging, model_contents, router_contents
from tests.fixtures.models.tiny import Tiny, artefact, seal
from tests.fixtures.router_app import ROUTES, event

PIP = "pip install --no-cache-dir --no-compile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A staged build context in which a Dockerfile's RUN lines have been run, one after the other."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, command: str, text: str = "", **variables: str) -> str:
        """Return the output of a command in the container's own environment, with only the given variables besides."""
        done = subprocess.run(
            ["sh", "-euc", command],
            cwd=self.folder,
            env={**variables, **self.environment},
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def size_mb(self) -> float:
        return sum(p.stat().st_size for p in self.folder.rglob("*") if p.is_file()) / 1e6


def built(context: Path, **variables: str) -> Container:
    """Return the context with its Dockerfile's ENV set and its RUN lines run, in an environment beside it."""
    uv = str(Path(sys.executable).with_name("uv"))
    bare = context.parent / "bare"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(bare)], check=True)
    # Copied, since what the next lines compile would be written into the cache through links.
    install = f"{uv} pip install --quiet --link-mode copy"
    return run_lines(context, bare, lambda line: line.replace(PIP, install), **variables)


def built_on(packages: Container, context: Path) -> Container:
    """Return a context with the packages of another, installed and compiled there, and its other RUN lines run."""
    for path in packages.folder.iterdir():
        if not (context / path.name).exists():
            link_tree(path, context / path.name)
    bare = packages.folder.parent / "bare"

    def line_of(line: str) -> str:
        return "" if PIP in line or "compileall" in line else line

    return run_lines(context, bare, line_of, TURNOUT_MODEL_DIR=str(context / "model"))


def link_tree(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, copy_function=os.link)
    else:
        os.link(source, target)


def run_lines(
    context: Path, bare: Path, line_of: Callable[[str], str], **variables: str
) -> Container:
    """Run the RUN lines of a context's Dockerfile, each as `line_of` gives it, by the Python of a bare environment."""
    words = instructions((context / "Dockerfile").read_text("utf-8"))
    environment = {
        "PATH": os.pathsep.join([str(bare / "bin"), "/usr/bin", "/bin"]),
        "PYTHONPATH": str(context),
        **dict(rest.split("=", 1) for word, rest in words if word == "ENV"),
        **variables,
    }
    container = Container(folder=context, environment=environment)
    for line in (line_of(rest) for word, rest in words if word == "RUN"):
        if line:
            container.run(line, **os.environ)
    return container


@pytest.fixture(scope="module")
def cpu(tmp_path_factory: pytest.TempPathFactory) -> Container:
    folder = tmp_path_factory.mktemp("cpu")
    context = Staging(folder=folder).image(
        model_contents("image", Tier.CPU, artefact(folder / "artefact"))
    )
    return built(context, TURNOUT_MODEL_DIR=str(context / "model"))


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Container:
    folder = tmp_path_factory.mktemp("router")
    context = Staging(folder=folder).image(router_contents("image", ROUTES.to_json()))
    return built(
        context, TURNOUT_ROUTES=str(context / "routes.json"), TURNOUT_DOCS=str(context / "docs")
    )


CALL = "import json, sys; from {module} import handler; print(json.dumps(handler(json.load(sys.stdin), None)))"


def test_the_cpu_image_answers_after_it_was_slimmed(cpu: Container) -> None:
    code = CALL.format(module="functions.cpu.handler")
    answer = json.loads(cpu.run(f"python -c '{code}'", json.dumps({"inputs": ["lovely"]})))
    assert answer["outputs"][0]["label"] == "good"
    gone = ("onnxruntime/transformers", "onnxruntime/quantization", "numpy/testing")
    assert [name for name in gone if (cpu.folder / name).exists()] == []
    assert cpu.size_mb() < 150


def test_the_cpu_image_holds_what_a_function_needs_and_nothing_of_ours_besides(
    cpu: Container,
) -> None:
    ours = {path.name for path in (cpu.folder / "functions").iterdir()} - {"__pycache__"}
    assert ours == {"__init__.py", "cpu", "inference", "runtime"}
    assert not list(cpu.folder.glob("boto3*"))
    assert not list(cpu.folder.glob("torch*"))


def test_the_router_image_answers(router: Container) -> None:
    code = CALL.format(module="functions.router.handler")
    request = json.dumps(event("GET", "/docs", key=None))
    *_, last = router.run(f"python -c '{code}'", request).splitlines()
    assert json.loads(last)["statusCode"] == 200
    assert not list(router.folder.glob("onnxruntime*"))


def test_an_image_that_answers_its_probe_otherwise_is_not_built(
    cpu: Container, tmp_path: Path
) -> None:
    folder = artefact(tmp_path / "artefact")
    text = (folder / PROBE).read_text("utf-8").replace('"bad"', '"good"')
    (folder / PROBE).write_text(text, "utf-8")
    context = Staging(folder=tmp_path).image(
        model_contents("image", Tier.CPU, seal(folder, Tiny()))
    )
    with pytest.raises(AssertionError, match="the probe .* is answered otherwise") as caught:
        built_on(cpu, context)
    assert "Traceback" not in str(caught.value)


def test_an_image_whose_handler_cannot_be_imported_is_not_built(
    cpu: Container, tmp_path: Path
) -> None:
    context = Staging(folder=tmp_path).image(
        model_contents("image", Tier.CPU, artefact(tmp_path / "artefact"))
    )
    shutil.rmtree(context / "functions/inference")
    with pytest.raises(AssertionError, match="No module named 'functions.inference'"):
        built_on(cpu, context)


def test_an_image_of_an_artefact_with_another_byte_is_not_built(
    cpu: Container, tmp_path: Path
) -> None:
    folder = artefact(tmp_path / "artefact")
    with (folder / PROBE).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"!")
    context = Staging(folder=tmp_path).image(model_contents("image", Tier.CPU, folder))
    with pytest.raises(AssertionError, match="probe.json is not the file that was sealed"):
        built_on(cpu, context)
