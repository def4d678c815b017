"""`turnout plan --trace` compares how a GPU tier could scale, in dollars a month and requests that meet no GPU."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from contracts.models_toml import read_models_toml
from contracts.scaling.awake import parse_awake
from contracts.specs import Deployment, GpuSpec
from contracts.tasks import Tier
from local.access_log import line
from stacks.router import ACCESS_LOG
from stacks.scaling.traces import A_MONDAY, UnreadableTrace
from tests.fixtures.paths import ROOT
from turnout.plan.costs import TierCost
from turnout.plan.latency import Latency
from turnout.plan.traces import Comparison, NothingToReplay, compare, show_comparison

EXAMPLE = read_models_toml(ROOT / "models.toml")
HOUR = 3600
LATENCY = Latency(ms=20, new_tokens=0, machine="AMD EPYC", date="2026-11-26")


def cost(latency: Latency | str = LATENCY) -> TierCost:
    return TierCost(
        model="support-intent",
        tier=Tier.CPU,
        idle={},
        latency=latency,
        request={},
        rates={},
        prices=(),
    )


def with_gpu(**changes: object) -> Deployment:
    spec = replace(GpuSpec(instance="ml.g6.xlarge"), **changes)  # type: ignore[arg-type]
    return replace(EXAMPLE, models=(replace(EXAMPLE.models[0], gpu=spec),))


def written(path: Path, *moments: float) -> Path:
    """Write the log of the API's requests at those seconds after a Monday, as the gateway writes it."""
    lines = [
        line(json.dumps(ACCESS_LOG), {"requestTimeEpoch": int((A_MONDAY + at) * 1000)})
        for at in moments
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the log of one request an hour, on the half, for a week and a moment."""
    path = tmp_path_factory.mktemp("trace") / "access.log"
    return written(path, *(hour * HOUR + 1800 for hour in range(24 * 7 + 1)))


@pytest.fixture(scope="module")
def compared(week: Path) -> Comparison:
    return compare(with_gpu(min_instances=0), [cost()], week, None, Path("none"))


def by(found: Comparison) -> dict[tuple[int, int, bool], tuple[float, float]]:
    """Return dollars and the degraded share by least and most instances, and whether there is a schedule."""
    return {
        (one.policy.min_copies, one.policy.max_copies, one.awake is not None): (
            one.usd_per_month,
            one.replayed.degraded,
        )
        for one in found.choices
    }


@pytest.mark.slow
def test_what_never_sleeps_costs_all_hours_and_degrades_nothing(compared: Comparison) -> None:
    month = 1.127 * 730
    for least, most in ((1, 1), (1, 2), (2, 2)):
        usd, degraded = by(compared)[least, most, False]
        assert usd == pytest.approx(month * least, rel=1e-3)
        assert degraded == 0


def test_a_schedule_costs_more_than_sleeping_and_less_than_being_awake(
    compared: Comparison,
) -> None:
    found = by(compared)
    asleep, office, awake = found[0, 1, False], found[0, 1, True], found[1, 1, False]
    assert asleep[0] < office[0] < awake[0]
    assert asleep[1] > office[1] > awake[1] == 0
    # One request an hour: the tier sleeps again in between; in 50 of a week's 168 hours it is kept awake.
    assert office[1] == pytest.approx(asleep[1] * 118 / 168, abs=0.02)


def test_each_choice_is_shown_once_and_that_of_models_toml_is_marked(compared: Comparison) -> None:
    text = StringIO()
    show_comparison(compared, Console(file=text, width=140))
    rows = [row for row in text.getvalue().splitlines() if row.startswith("support-intent ")]
    assert len(rows) == len(compared.choices) == 7
    (own,) = (row for row in rows if row.rstrip().endswith("models.toml"))
    assert "0 to 1" in own
    assert "never" in own
    assert f"{len(compared.trace.arrivals)} requests in 168.0 hours" in text.getvalue()
    assert "support-intent: a request takes 20.0 ms of a GPU" in text.getvalue()
    assert "shorter than a week" not in text.getvalue()
    document = compared.to_json()
    assert [one["in_models_toml"] for one in document["choices"]].count(True) == 1


def test_the_schedule_and_the_instances_of_models_toml_are_among_the_choices(
    tmp_path: Path,
) -> None:
    trace = written(tmp_path / "log", 0, 1800)
    hours = parse_awake("Sat 10:00-12:00 Europe/Berlin")
    found = compare(
        with_gpu(min_instances=0, max_instances=3, awake=hours),
        [cost()],
        trace,
        500.0,
        Path("none"),
    )
    assert max(one.policy.max_copies for one in found.choices) == 3
    (own,) = (one for one in found.choices if one.chosen)
    assert (own.policy.max_copies, own.awake) == (3, hours)
    assert found.busy_s == {"support-intent": 0.5}


def test_a_short_trace_is_said_to_be_one(tmp_path: Path) -> None:
    found = compare(
        with_gpu(), [cost()], written(tmp_path / "log", 0, 60, 3600), None, Path("none")
    )
    text = StringIO()
    show_comparison(found, Console(file=text, width=140))
    assert "the trace is shorter than a week" in text.getvalue()


def test_a_deployment_without_a_gpu_and_a_request_of_unknown_length_are_refused(
    week: Path,
) -> None:
    with pytest.raises(NothingToReplay, match="no model has a GPU tier"):
        compare(replace(EXAMPLE, models=EXAMPLE.models[1:]), [], week, None, Path("none"))
    with pytest.raises(NothingToReplay, match="--request-ms"):
        compare(with_gpu(), [cost("not built")], week, None, Path("none"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '{"timestamp": 1}\n{"x": 2}\n{"timestamp": "soon"}\n[3]\n{"timestamp": NaN}\n',
            "lines 2, 3, 4, 5:",
        ),
        ('{"timestamp": 1}\n{"timestamp": -5}\n{"timestamp": 1e99}\n', "lines 2, 3:"),
        ("\n".join("{}" for _ in range(14)), "lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 4 more:"),
        ("TIMESTAMP,Tokens\n2023-11-16 18:17:03.97996,4\nyesterday,4\n,\n", "lines 3, 4:"),
        ("time,Tokens\n1,2\n", "line 2:"),
        ('{"timestamp": 1}\n', "1 requests"),
        ("", "0 requests"),
    ],
    ids=["no times", "out of range", "many", "CSV", "no column", "one request", "empty"],
)
def test_every_line_that_is_no_request_is_named_at_once(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "trace"
    path.write_text(text, "utf-8")
    with pytest.raises(UnreadableTrace) as caught:
        compare(with_gpu(), [cost()], path, None, tmp_path)
    assert said in str(caught.value)


def test_a_file_that_is_no_text_or_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_bytes(b"\xff\xfe\x00")
    for one in (path, tmp_path / "missing", tmp_path):
        with pytest.raises(UnreadableTrace, match="cannot be read"):
            compare(with_gpu(), [cost()], one, None, tmp_path)
