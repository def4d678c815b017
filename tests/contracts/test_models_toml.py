"""`models.toml`, read strictly."""

import json
from pathlib import Path

import pytest

from contracts.models_toml import ConfigError, read_models_toml
from contracts.specs import CpuSpec, Deployment, Domain, Gate, GpuSpec, ModelSpec, Throttle
from contracts.tasks import Server, Task, Tier, Wake
from tests.fixtures.paths import ROOT
from tests.fixtures.problems import assert_problems


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "models.toml"
    path.write_text(text, "utf-8")
    return path


def test_the_projects_own_file_has_the_table_of_the_readme() -> None:
    deployment = read_models_toml(ROOT / "models.toml")
    assert [(model.name, list(model.tiers)) for model in deployment.models] == [
        ("support-intent", [Tier.CPU, Tier.GPU]),
        ("sentence-embedding", [Tier.CPU]),
    ]
    shown = (ROOT / "README.md").read_text("utf-8")
    first_table = (ROOT / "models.toml").read_text("utf-8").split("\n\n")[1]
    assert first_table in shown


def test_every_key_is_taken(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        [deployment]
        name = "shop"
        region = "eu-west-1"
        concurrency = 400
        throttle = { rate = 5, burst = 9 }
        cors_origins = ["https://app.example.com"]
        domain = { name = "api.example.org", hosted_zone_id = "Z1" }
        [models.a]
        source = "a"
        task = "text-classification"
        eval = "a.jsonl"
        cpu = { memory_mb = 3008, timeout_s = 9, max_inputs = 2, max_chars = 3, max_tokens = 64, quantize = "none" }
        gpu = { instance = "ml.g5.xlarge", server = "turnout", source = "big", memory_mb = 999, wake = "never" }
        gate = { min_accuracy_ratio = 0.5, min_agreement = 1, allow_uninformative_rows = true }
        """,
    )
    assert read_models_toml(path) == Deployment(
        name="shop",
        region="eu-west-1",
        concurrency=400,
        throttle=Throttle(rate=5, burst=9),
        cors_origins=("https://app.example.com",),
        domain=Domain(name="api.example.org", hosted_zone_id="Z1"),
        models=(
            ModelSpec(
                name="a",
                source=tmp_path / "a",
                task=Task.TEXT_CLASSIFICATION,
                eval=tmp_path / "a.jsonl",
                cpu=CpuSpec(
                    memory_mb=3008,
                    timeout_s=9,
                    max_inputs=2,
                    max_chars=3,
                    max_tokens=64,
                    quantize="none",
                ),
                gpu=GpuSpec(
                    instance="ml.g5.xlarge",
                    server=Server.TURNOUT,
                    source=tmp_path / "big",
                    memory_mb=999,
                    wake=Wake.NEVER,
                ),
                gate=Gate(min_accuracy_ratio=0.5, min_agreement=1, allow_uninformative_rows=True),
            ),
        ),
    )


def test_a_file_full_of_problems_lists_them_all(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        [deploy]
        [deployment]
        name = "Shop!"
        region = 3
        throttle = { rate = 0, brust = 5 }
        [models.Bad_Name]
        source = ""
        task = "classification"
        eval = "a.jsonl"
        cpu = { memory = 100, memory_mb = 99999, timeout_s = true, quantize = "int4", canary_minutes = 7 }
        [models.b]
        task = "feature-extraction"
        gpu = { instance = "g5.xlarge", server = "vllm", wake = "always", tools = "?" }
        gate = { max_perplexity_ratio = 1.1, min_cosine_mean = 1.5, allow_uninformative_rows = "yes" }
        [models.c]
        source = "c"
        task = "feature-extraction"
        eval = "c.jsonl"
        """,
    )
    with pytest.raises(ConfigError) as caught:
        read_models_toml(path)
    assert_problems(
        caught.value.problems,
        ("setting_unknown", "deploy", "did you mean deployment?"),
        ("setting_invalid", "deployment.name", "'Shop!'", "a letter first, at most 16"),
        ("setting_invalid", "deployment.region", "3 does not fit", '"us-east-1"'),
        ("setting_invalid", "deployment.throttle.rate", "0 does not fit", "from 0.001 to 10000"),
        ("setting_unknown", "deployment.throttle.brust", "did you mean burst?"),
        ("setting_invalid", "models.Bad_Name", "part of a URL and of AWS names", "at most 32"),
        ("setting_invalid", "models.Bad_Name.source", "write a path, hf://", "s3://bucket/prefix"),
        ("setting_invalid", "models.Bad_Name.task", "'classification'", *(f'"{t}"' for t in Task)),
        ("setting_unknown", "models.Bad_Name.cpu.memory", "did you mean memory_mb?"),
        ("setting_invalid", "models.Bad_Name.cpu.memory_mb", "99999", "from 128 to 10240"),
        ("setting_invalid", "models.Bad_Name.cpu.timeout_s", "True", "from 1 to 840"),
        ("setting_invalid", "models.Bad_Name.cpu.quantize", "'int4'", 'one of "int8", "none"'),
        ("setting_invalid", "models.Bad_Name.cpu.canary_minutes", "one of 0, 5, 10, 15, 30"),
        ("setting_missing", "models.b.source", "add source = a path, hf://"),
        ("setting_missing", "models.b.eval", "add eval = a path, as text"),
        ("setting_invalid", "models.b.gpu.instance", "'g5.xlarge'", '"ml.g6.xlarge"'),
        ("setting_invalid", "models.b.gpu.wake", "'always'", '"pinned", "escalation", "never"'),
        ("setting_invalid", "models.b.gpu.tools", "'?' does not fit", 'such as "hermes"'),
        ("setting_invalid", "models.b.gpu.server", "text-generation alone", '"turnout"'),
        (
            "setting_unknown",
            "models.b.gate.max_perplexity_ratio",
            "the keys here are min_cosine_mean, min_cosine_p5, min_accuracy_ratio",
        ),
        ("setting_invalid", "models.b.gate.min_cosine_mean", "1.5", "a number from 0 to 1"),
        ("setting_invalid", "models.b.gate.allow_uninformative_rows", "'yes'", "true or false"),
        ("setting_missing", "models.c", "no tier", "add cpu = {} or gpu ="),
    )
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{path}: 23 problems"
    assert lines[1] == "  deploy: unknown key; did you mean deployment? [setting_unknown]"
    assert len(lines) == 24


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[models.a", ("file_damaged", "file", "TOML")),
        ("", ("setting_missing", "models", "[models.my-model]")),
        ("[models]", ("setting_missing", "models", "[models.my-model]")),
        ("a = " + "[" * 100_000, ("file_damaged", "file", "nested")),
        ("a = " + "9" * 5_000, ("file_damaged", "file", "digits")),
        ("models = 0x" + "f" * 5_000, ("setting_invalid", "models", "digits")),
        ("[models]\na = 3", ("setting_invalid", "models.a", "[models.a]")),
        (
            '[models.a]\nsource="x"\n[models.a]\nsource="y"',
            ("file_damaged", "file", "TOML", "line 3"),
        ),
        ("models = 3", ("setting_invalid", "models", "3")),
    ],
    ids=[
        "cut",
        "empty",
        "empty table",
        "deep",
        "long number",
        "hexadecimal",
        "no table",
        "twice",
        "no tables",
    ],
)
def test_what_is_no_models_file_is_refused(
    tmp_path: Path, text: str, problem: tuple[str, ...]
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_models_toml(path)
    assert_problems(caught.value.problems, problem)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_missing_or_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9")
    for name, problem in (
        ("nowhere.toml", ("file_missing", "file", "--config")),
        ("latin.toml", ("file_damaged", "file", "UTF-8")),
    ):
        with pytest.raises(ConfigError) as caught:
            read_models_toml(tmp_path / name)
        assert_problems(caught.value.problems, problem)
        assert str(caught.value).startswith(f"{tmp_path / name}: ")


def test_a_folder_is_no_file_and_is_reported_as_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_models_toml(tmp_path)
    assert_problems(caught.value.problems, ("file_missing", "file", "Is a directory"))
    assert str(caught.value).startswith(f"{tmp_path}: ")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    table = '[models.m]\nsource = "s"\ntask = "fill-mask"\neval = "e"\ncpu = {}\n'
    path = written(tmp_path, f"\ufeff{table}")
    assert [model.name for model in read_models_toml(path).models] == ["m"]


def test_labels_given_twice_and_addresses_of_other_kinds_are_refused(tmp_path: Path) -> None:
    lines = ['source = "https://a.b/m"', 'task = "fill-mask"', 'eval = "e"', "cpu = {}"]
    path = written(tmp_path, "\n".join(["[models.m]", *lines, 'labels = ["a", "b", "a"]']))
    with pytest.raises(ConfigError) as caught:
        read_models_toml(path)
    assert_problems(
        caught.value.problems,
        (
            "setting_invalid",
            "models.m.source",
            "'https://a.b/m'",
            "hf://org/name@revision",
            "s3://",
        ),
        ("setting_invalid", "models.m.labels", "['a', 'b', 'a']", "once"),
    )


@pytest.mark.parametrize(
    ("lines", "problems"),
    [
        (['task = "fill-mask"', 'gpu = { instance = "ml.g6.xlarge" }'], [("setting_invalid", "models.m.edge", "CPU")]),
        (['task = "fill-mask"', "cpu = {}"], []),
    ],
)  # fmt: skip
def test_a_copy_that_cannot_be_made_is_a_problem_in_models_toml(
    tmp_path: Path, lines: list[str], problems: list[tuple[str, ...]]
) -> None:
    path = tmp_path / "models.toml"
    table = ["[models.m]", 'source = "s"', 'eval = "e"', "edge = true", *lines]
    path.write_text("\n".join(table), "utf-8")
    if not problems:
        assert read_models_toml(path).models[0].edge
        return
    with pytest.raises(ConfigError) as caught:
        read_models_toml(path)
    assert_problems(caught.value.problems, *problems)


MODEL = '[models.a]\nsource = "a"\ntask = "text-classification"\neval = "a.jsonl"\ncpu = {}\n'


@pytest.mark.parametrize(
    "origins",
    [
        [],
        ["*"],
        ["https://app.example.com"],
        ["http://localhost:5173", "http://127.0.0.1:8080"],
        ["http://[::1]:3000", "https://xn--mnchen-3ya.example", "capacitor://localhost"],
        ["http://a:443", "https://a:80"],
    ],
)
def test_origins_are_taken_as_browsers_send_them(tmp_path: Path, origins: list[str]) -> None:
    path = written(tmp_path, f"[deployment]\ncors_origins = {json.dumps(origins)}\n{MODEL}")
    assert read_models_toml(path).cors_origins == tuple(origins)


@pytest.mark.parametrize(
    "origins",
    [
        "*",
        ["*", "https://a"],
        ["null"],
        ["app.example.com"],
        ["https://app.example.com/"],
        ["https://app.example.com/path"],
        ["https://App.example.com"],
        ["https://münchen.example"],
        ["https://a:443"],
        ["http://a:80"],
        ["https://a:0"],
        ["https://user@a"],
        ["https://*.example.com"],
        ["https://a", "https://a"],
        ["https://a\n"],
        [""],
        [3],
    ],
)
def test_what_no_browser_sends_as_an_origin_is_refused(tmp_path: Path, origins: object) -> None:
    path = written(tmp_path, f"[deployment]\ncors_origins = {json.dumps(origins)}\n{MODEL}")
    with pytest.raises(ConfigError) as caught:
        read_models_toml(path)
    assert_problems(
        caught.value.problems,
        ("setting_invalid", "deployment.cors_origins", "https://app.example.com", '["*"]'),
    )
