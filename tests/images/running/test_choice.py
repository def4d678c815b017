"""An engine has the image of a function, with further layers above only as long as it runs."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from images.layer import Entry, write_layer
from images.oci.reading import read_layout
from images.running.choice import Choice, Isolating
from tests.images.engine.programs import program
from tests.images.layouts import small

# An engine that takes every image.
TAKES = """
case $1 in
load) cat > /dev/null; touch "$0.loaded" ;;
image) [ -e "$0.loaded" ] || exit 1 ;;
esac
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = program(tmp_path / "bin", "docker", TAKES)
    monkeypatch.setenv("CDK_DOCKER", str(place))
    return place


def asked(engine: Path) -> list[str]:
    """Return what the engine was told."""
    return engine.with_name("docker.log").read_text("utf-8").splitlines()


def test_an_image_stays_in_the_engine_and_one_with_layers_above_does_not(
    engine: Path, tmp_path: Path
) -> None:
    layout = read_layout(small(tmp_path))
    isolating = Isolating(work=tmp_path / "running", choice=Choice.ENGINE)
    above = write_layer([Entry(path="var/task/keys", source=b"1")], tmp_path / "blobs")
    with ExitStack() as undo:
        assert isolating.isolate("shop", layout, undo).by == "docker"
    assert not [line for line in asked(engine) if line.startswith("rmi")]
    with ExitStack() as undo:
        isolating.isolate("shop", layout, undo, [above])
        assert not [line for line in asked(engine) if line.startswith("rmi")]
    digest = str(layout.descriptors[0]["digest"]).removeprefix("sha256:")
    layer = above.digest.removeprefix("sha256:")
    assert asked(engine)[-1] == f"rmi --force localhost/turnout/shop:{digest[:12]}-{layer[:12]}"
    assert [path.name for path in (tmp_path / "running").iterdir()] == []
