"""Scripts of faults, read strictly."""

import math
import re
from pathlib import Path

import pytest

from contracts.specs import CpuSpec, Deployment, GpuSpec, ModelSpec
from contracts.tasks import Task
from local.chaos.script import ANY, Fault, Scripted, ScriptError, read_script
from local.chaos.services import SERVICES, AwsError, Called
from tests.fixtures.paths import ROOT
from tests.fixtures.problems import assert_problems

MODEL = ModelSpec(
    name="intents",
    source=Path("model"),
    task=Task.TEXT_CLASSIFICATION,
    eval=Path("rows"),
    cpu=CpuSpec(),
    gpu=GpuSpec(instance="ml.g6.xlarge"),
)
SHOP = Deployment(name="shop", models=(MODEL,))
CPU = Called(service="lambda", name="shop-intents-cpu")
GPU = Called(service="sagemaker", name="shop-intents-gpu-g6-xl")
PAGE = (ROOT / "docs/local-cloud.md").read_text("utf-8").split("## Faults\n")[1].split("\n## ")[0]


def read(tmp_path: Path, text: str) -> tuple[Scripted, ...]:
    path = tmp_path / "chaos.toml"
    path.write_text(text, "utf-8")
    return read_script(path, SHOP)


def one(tmp_path: Path, *lines: str) -> Scripted:
    (fault,) = read(tmp_path, "\n".join(["[[fault]]", *lines]))
    return fault


def test_the_calls_of_a_tier_and_of_a_service_are_found(tmp_path: Path) -> None:
    for target, called in (
        ("intents/cpu", CPU),
        ("intents/gpu", GPU),
        ("ssm", Called(service="ssm")),
        ("dynamodb", Called(service="dynamodb")),
    ):
        fault = one(tmp_path, f'target = "{target}"', 'kind = "close"')
        assert fault == Scripted(target=target, kind=Fault.CLOSE, of=called)
        assert (fault.from_s, fault.until_s, fault.share) == (0, math.inf, 1)


def test_every_key_is_taken(tmp_path: Path) -> None:
    assert read(
        tmp_path,
        """
        [[fault]]
        target = "intents/gpu"
        kind = "asleep"
        from_s = 5
        wake_s = 60
        [[fault]]
        target = "intents/cpu"
        kind = "slow"
        ms = 900
        from_s = 1.5
        until_s = 3
        share = 0.25
        [[fault]]
        target = "lambda"
        kind = "error"
        code = "ResourceConflictException"
        status = 418
        message = "not now"
        """,
    ) == (
        Scripted(target="intents/gpu", kind=Fault.ASLEEP, of=GPU, from_s=5, wake_s=60),
        Scripted(
            target="intents/cpu",
            kind=Fault.SLOW,
            of=CPU,
            ms=900,
            from_s=1.5,
            until_s=3,
            share=0.25,
        ),
        Scripted(
            target="lambda",
            kind=Fault.ERROR,
            of=Called(service="lambda"),
            error=AwsError(status=418, code="ResourceConflictException", message="not now"),
        ),
    )


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_says_by_itself_that_it_is_throttled_or_down(
    tmp_path: Path, service: str
) -> None:
    target = f'target = "{service}"'
    assert one(tmp_path, target, 'kind = "throttle"').error == SERVICES[service].throttled
    assert one(tmp_path, target, 'kind = "error"').error == SERVICES[service].down


@pytest.mark.parametrize(
    ("target", "code", "status", "words"),
    [
        ("intents/cpu", "EC2ThrottledException", 502, "Amazon EC2 throttled Lambda"),
        ("intents/gpu", "InternalFailure", 500, "An internal failure occurred."),
        ("intents/gpu", "ModelError", 500, "Model (owned by the customer in the container)"),
        ("dynamodb", "ProvisionedThroughputExceededException", 400, "request throttling"),
        ("ssm", "ExpiredTokenException", 403, ""),
    ],
)
def test_an_error_has_the_status_and_the_words_of_its_services_model(
    tmp_path: Path, target: str, code: str, status: int, words: str
) -> None:
    error = one(tmp_path, f'target = "{target}"', 'kind = "error"', f'code = "{code}"').error
    assert error is not None
    assert (error.code, error.status) == (code, status)
    assert words in error.message


def test_a_file_full_of_problems_lists_them_all(tmp_path: Path) -> None:
    with pytest.raises(ScriptError) as caught:
        read(
            tmp_path,
            """
            [[fault]]
            target = "intents/tpu"
            kind = "sleepy"
            [[fault]]
            target = "intents/cpu"
            kind = "asleep"
            until_s = 3
            [[fault]]
            target = "lambda"
            kind = "hang"
            from_s = 20
            until_s = 20
            [[fault]]
            target = "intents/gpu"
            kind = "error"
            code = "ServiceUnavailible"
            share = 0
            [[fault]]
            kind = "slow"
            from_s = -1
            [[fault]]
            target = "ssm"
            kind = "crash"
            [fualt]
            """,
        )
    assert_problems(
        caught.value.problems,
        ("setting_unknown", "fualt", "did you mean fault?"),
        ("setting_invalid", "fault 1.kind", "'sleepy'", '"asleep", "error", "throttle", "slow"'),
        ("setting_invalid", "fault 1.target", "'intents/tpu'", "intents/cpu, intents/gpu, lambda"),
        ("setting_unknown", "fault 2.until_s", "target, kind, from_s, wake_s"),
        ("setting_missing", "fault 2.wake_s", "seconds above 0"),
        ("setting_invalid", "fault 2.target", "never sleeps", "MODEL/gpu"),
        ("setting_invalid", "fault 3.target", "is a service", "MODEL/TIER"),
        ("setting_invalid", "fault 3.until_s", "ends before it begins"),
        ("setting_invalid", "fault 4.share", "0 does not fit", "above 0, at most 1"),
        ("setting_invalid", "fault 4.code", "'ServiceUnavailible'", "ServiceUnavailable"),
        ("setting_invalid", "fault 5.from_s", "-1", "0 or more"),
        ("setting_missing", "fault 5.target", "add target"),
        ("setting_missing", "fault 5.ms", "add ms"),
        ("setting_invalid", "fault 6.target", "'ssm' is a service"),
    )
    assert "chaos.toml: 14 problems" in str(caught.value).splitlines()[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ("setting_missing", "fault", "[[fault]]")),
        ("fault = 3", ("setting_invalid", "fault", "tables of [[fault]]")),
        ("[fault]", ("setting_invalid", "fault", "tables of [[fault]]")),
        ("[[fault]", ("file_damaged", "file", "TOML")),
    ],
    ids=["empty", "number", "one table", "cut"],
)
def test_what_is_no_script_is_refused(tmp_path: Path, text: str, problem: tuple[str, ...]) -> None:
    with pytest.raises(ScriptError) as caught:
        read(tmp_path, text)
    assert_problems(caught.value.problems, problem)


def test_a_script_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScriptError) as caught:
        read_script(tmp_path / "nowhere.toml", SHOP)
    assert_problems(caught.value.problems, ("file_missing", "file", "--chaos"))


def test_the_script_on_the_page_is_taken(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    faults = read(tmp_path, text.replace("support-intent/", "intents/"))
    assert [fault.kind for fault in faults] == [Fault.ASLEEP, Fault.THROTTLE, Fault.ERROR]


def test_the_page_has_every_key_and_every_kind() -> None:
    keys, kinds = PAGE.split("<!-- faults -->")
    assert re.findall(r"^\| `(\w+)` \|", kinds, re.MULTILINE) == list(Fault)
    first = [line.split("|")[1] for line in keys.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", " ".join(first))) == set(ANY)
