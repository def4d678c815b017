"""A tier whose weights lie in S3 is asked where it is deployed, as `turnout verify` asks it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from build.cascade.calibrating import Asked
from build.cascade.errors import CalibrationFailed
from contracts.cascade.calibration import FILE
from contracts.specs import Deployment
from tests.build.cascade.counters import NUMBERS, rows, spec, with_pushed
from tests.build.cascade.moods import write
from turnout.calibrate.calibrating import calibrated
from turnout.client import Reply
from turnout.verify.errors import VerifyFailed

NEXT = dict(zip(NUMBERS, NUMBERS[1:], strict=False))


def endpoint(version: str, *, refuses: str = "") -> Callable[[dict[str, Any]], Reply]:
    """Return an endpoint that counts on, and refuses one number."""

    def ask(document: dict[str, Any]) -> Reply:
        (number,) = document["inputs"]
        assert (document["tier"], document["parameters"]["max_new_tokens"]) == ("gpu", 1)
        if number == refuses:
            return Reply(status=422, body={"code": "invalid_input"}, ms=1, headers={})
        outputs = [{"generated_text": NEXT[number], "finish_reason": "length"}]
        body = {"version": version, "tier": "gpu", "outputs": outputs}
        return Reply(status=200, body=body, ms=1, headers={})

    return ask


def run(place: Path, ask: Callable[[dict[str, Any]], Reply]) -> dict[str, Any]:
    asked = Asked(rows=write(place / "rows.jsonl", rows()))
    deployment = Deployment(models=(spec(place),))
    log = Console(quiet=True)
    return calibrated(deployment, "counter", place / "out", asked, log, lambda: ask)


def test_its_answers_to_the_rows_are_calibrated_with(tmp_path: Path) -> None:
    manifest = with_pushed(tmp_path / "out")
    found = run(tmp_path, endpoint(manifest.version))
    assert (found["gpu"], found["gpu_accuracy"]) == (manifest.digest, 1.0)
    assert found["parameters"] == {"max_new_tokens": 1}
    assert found["chosen"]["kept"] == found["cpu_accuracy"] < 1
    assert (tmp_path / "out/counter" / FILE).is_file()


def test_without_an_endpoint_its_rows_are_not_answered(tmp_path: Path) -> None:
    with_pushed(tmp_path / "out")
    asked = Asked(rows=write(tmp_path / "rows.jsonl", rows()))
    deployment, log = Deployment(models=(spec(tmp_path),)), Console(quiet=True)
    with pytest.raises(CalibrationFailed, match="its endpoint has to be asked"):
        calibrated(deployment, "counter", tmp_path / "out", asked, log)


def test_a_row_that_it_refuses_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    manifest = with_pushed(tmp_path / "out")
    with pytest.raises(CalibrationFailed, match="row 4: 422 invalid_input"):
        run(tmp_path, endpoint(manifest.version, refuses=NUMBERS[3]))
    assert not (tmp_path / "out/counter" / FILE).exists()


def test_another_version_than_the_one_in_the_folder_is_not_calibrated_with(tmp_path: Path) -> None:
    with_pushed(tmp_path / "out")
    with pytest.raises(VerifyFailed, match="0ld000000000"):
        run(tmp_path, endpoint("0ld000000000"))
