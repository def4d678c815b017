"""A split as it is set for a model, and the client that a request names for it."""

from pathlib import Path

import pytest

from contracts.http_errors import InvalidInput
from contracts.models_toml import ConfigError, read_models_toml
from contracts.prediction import parse_request
from contracts.tasks import Tier
from tests.fixtures.problems import assert_problems, assert_request_problems

CPU, GPU = "cpu = {}", 'gpu = { instance = "ml.g6.xlarge" }'
BAD, GONE, ODD = "setting_invalid", "setting_missing", "setting_unknown"


@pytest.mark.parametrize(
    ("lines", "problems"),
    [
        ([CPU, GPU, "split = { cpu = 90, gpu = 10 }"], []),
        ([CPU, GPU, "split = { cpu = 0, gpu = 10 }"], []),
        ([CPU, GPU, "split = { cpu = 0, gpu = 0 }"], [(BAD, "models.m.split", "no tier", "above 0")]),
        ([CPU, GPU, "split = {}"], [(GONE, "models.m.split.cpu", "0 to 1000"), (GONE, "models.m.split.gpu")]),
        ([CPU, GPU, "split = { cpu = 1.5, gpu = 1 }"], [(BAD, "models.m.split.cpu", "1.5")]),
        ([CPU, GPU, "split = { cpu = 1, gpu = 1001 }"], [(BAD, "models.m.split.gpu", "1001")]),
        ([CPU, GPU, "split = { cpu = 1, gpu = 1, tpu = 1 }"], [(ODD, "models.m.split.tpu", "did you mean")]),
        ([CPU, "split = { cpu = 1, gpu = 1 }"], [(BAD, "models.m.split", "no gpu tier", "add gpu")]),
        ([GPU, "split = { cpu = 1, gpu = 1 }"], [(BAD, "models.m.split", "no cpu tier", "add cpu")]),
    ],
)  # fmt: skip
def test_a_split_needs_both_tiers_and_a_weight(
    tmp_path: Path, lines: list[str], problems: list[tuple[str, ...]]
) -> None:
    table = ["[models.m]", 'source = "s"', 'eval = "e"', 'task = "fill-mask"', *lines]
    path = tmp_path / "models.toml"
    path.write_text("\n".join(table), "utf-8")
    if not problems:
        assert read_models_toml(path).models[0].split[Tier.GPU] == 10
        return
    with pytest.raises(ConfigError) as caught:
        read_models_toml(path)
    assert_problems(caught.value.problems, *problems)


@pytest.mark.parametrize("client", ["", " ", 7, "a" * 257, "\ud800"])
def test_a_client_is_a_text_that_can_be_hashed(client: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_request({"inputs": "a", "client": client})
    assert_request_problems(caught.value.problems, ("/client", "1 to 256 characters"))
