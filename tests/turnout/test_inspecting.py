"""`turnout inspect`: graphs side by side, layers compared, weights and figures for TensorBoard."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from build.exported_graphs import GraphPair, graph_pairs
from build.workspace.cache import FOLDER
from tests.fixtures.inspected import GPU, built, inspect, pair_of
from tests.fixtures.paths import ROOT
from tests.fixtures.problems import assert_names
from turnout.inspecting import CannotInspect
from turnout.viewer import Shown, serving

pytestmark = pytest.mark.build


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("home"), GPU)


def get(url: str, path: str) -> tuple[int, dict[str, str], bytes]:
    """Return the answer to a path as it stands, which a client would otherwise make plain."""
    connection = http.client.HTTPConnection(url.split("/")[2], timeout=30)
    connection.request("GET", path)
    reply = connection.getresponse()
    return reply.status, dict(reply.getheaders()), reply.read()


@pytest.fixture(scope="module")
def page(home: Path) -> Iterator[tuple[str, GraphPair]]:
    pair = pair_of(home, "gpu")
    shown = Shown(name="model", sides={"reference": pair.exported, "built": pair.built})
    with serving("tiny <cpu>", [shown, shown], 0) as url:
        yield url, pair


def test_the_page_has_a_frame_for_each_side_and_a_link_for_each_graph(
    page: tuple[str, GraphPair],
) -> None:
    status, _, body = get(page[0], "/")
    text = body.decode()
    assert status == 200
    assert 'src="/0/reference/"' in text
    assert 'src="/0/built/"' in text
    assert 'href="/1"' in text
    assert "tiny &lt;cpu&gt;" in text


@pytest.mark.parametrize("side", ["reference", "built"])
def test_netron_is_given_the_graph_and_may_connect_to_nothing_else(
    page: tuple[str, GraphPair], side: str
) -> None:
    url, pair = page
    graph = pair.exported if side == "reference" else pair.built
    status, headers, body = get(url, f"/0/{side}/")
    text = body.decode()
    assert status == 200
    assert f'<meta name="file" content="data/{graph.name}">' in text
    assert '<meta name="version" content="0.0.0">' in text
    assert 'name="date"' not in text
    assert "connect-src 'self' blob: data:" in headers["Content-Security-Policy"]
    assert headers["Set-Cookie"].startswith("consent=")
    assert get(url, f"/0/{side}/data/{graph.name}")[2] == graph.read_bytes()
    assert get(url, f"/0/{side}/index.js?cb=1")[0] == 200
    assert get(url, f"/0/{side}/index.js")[1]["Content-Type"].endswith("javascript")


@pytest.mark.parametrize(
    "path",
    [
        "/2",
        "/other",
        "/0/neither/",
        "/0/built/data/other.onnx",
        "/0/built/none.js",
        "/0/built/../../../../etc/passwd",
        "/0/built/%2e%2e/%2e%2e/onnx/__init__.py",
        "/0/built//etc/passwd",
    ],
)
def test_nothing_else_is_served(page: tuple[str, GraphPair], path: str) -> None:
    assert get(page[0], path)[0] == 404


def test_the_command_shows_both_until_it_is_interrupted(home: Path) -> None:
    command = [sys.executable, "-m", "turnout", "inspect", "tiny", "--no-browser", "--json"]
    command += ["--tier", "gpu"]
    process = subprocess.Popen(
        command,
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout
        printed = ""
        while not printed.endswith("}\n"):
            line = process.stdout.readline()
            assert line, process.stderr.read() if process.stderr else ""
            printed += line
        url = json.loads(printed)["url"]
        assert url.startswith("http://127.0.0.1:")
        assert get(url, "/0/built/")[0] == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    with pytest.raises(OSError, match="refused"):
        get(url, "/")


@pytest.mark.parametrize(
    ("missing", "words", "fix"),
    [
        ("netron", ["--no-browser"], "pip install 'netron>=9,<10'"),
        ("tensorboardX", ["--tensorboard", "board"], "pip install 'tensorboardX>=2.6,<3'"),
    ],
)
def test_a_library_that_is_not_installed_is_named_with_its_command(
    home: Path, tmp_path: Path, missing: str, words: list[str], fix: str
) -> None:
    config, out = str(home / "models.toml"), str(home / "models.out")
    arguments = ["turnout", "inspect", "tiny", "--tier", "gpu", *words, "-c", config, "-o", out]
    code = f"import sys; sys.modules[{missing!r}] = None; sys.argv = {arguments}; import turnout.cli as c; c.main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert fix in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_graphs_that_no_build_has_left_are_made_again(home: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(home, tmp_path / "home")
    shutil.rmtree(copy / "models.out" / FOLDER)
    done = inspect(copy, "--layers", "--tier", "gpu", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["layers"]


def test_what_cannot_be_inspected_is_refused_with_the_reason(home: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(home, tmp_path / "home")
    path = copy / "source/config.json"
    path.write_text(path.read_text("utf-8") + " ", "utf-8")
    for words, things in (
        (("--tier", "gpu"), ("tiny gpu ", "other files", "`turnout build tiny`")),
        (("--tier", "gpu"), ("tiny gpu ", "not built", "`turnout build tiny`")),
        ((), ("tiny ", "no cpu tier")),
    ):
        error = inspect(copy, *words).exception
        assert isinstance(error, CannotInspect)
        assert_names(str(error), things)
        shutil.rmtree(copy / "models.out/tiny/gpu", ignore_errors=True)
    assert graph_pairs(copy, copy / "source") == ()
