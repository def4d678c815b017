"""A custom domain in `models.toml`, read strictly."""

import json
from pathlib import Path

import pytest

from contracts.models_toml import ConfigError, read_models_toml
from contracts.specs import Domain
from tests.fixtures.problems import assert_problems

MODEL = '[models.a]\nsource = "a"\ntask = "text-classification"\neval = "a.jsonl"\ncpu = {}\n'
HERE = "arn:aws:acm:us-east-1:123456789012:certificate/1b2c-3d"
ELSEWHERE = HERE.replace("us-east-1", "eu-west-1")


def in_domain(tmp_path: Path, **keys: object) -> Path:
    table = "\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items())
    return written(tmp_path, f"[deployment.domain]\n{table}")


def written(tmp_path: Path, deployment: str) -> Path:
    path = tmp_path / "models.toml"
    path.write_text(f"{deployment}\n{MODEL}", "utf-8")
    return path


@pytest.mark.parametrize(
    "name",
    ["api.example.org", "a.b", "1.example.org", "xn--mnchen-3ya.example", f"{'a' * 63}.org"],
)
def test_a_domain_is_a_host_name_before_both_apis(tmp_path: Path, name: str) -> None:
    domain = read_models_toml(in_domain(tmp_path, name=name, certificate_arn=HERE)).domain
    assert domain == Domain(name=name, certificate_arn=HERE)
    assert (domain.url, domain.stream_url) == (f"https://{name}", f"https://{name}/stream")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "localhost",
        "*.example.org",
        "API.example.org",
        "münchen.example",
        "https://api.example.org",
        "api.example.org/stream",
        "api.example.org:443",
        "api.example.org.",
        "api..example.org",
        "-api.example.org",
        "api-.example.org",
        "api_1.example.org",
        "203.0.113.7",
        "api.example.org\n",
        f"{'a' * 64}.org",
        f"{'a.' * 126}org",
        3,
    ],
)
def test_what_is_no_host_name_is_refused(tmp_path: Path, name: object) -> None:
    with pytest.raises(ConfigError) as caught:
        read_models_toml(in_domain(tmp_path, name=name, certificate_arn=HERE))
    assert_problems(
        caught.value.problems,
        ("setting_invalid", "deployment.domain.name", '"api.example.org"', "lower case"),
    )


@pytest.mark.parametrize(
    ("keys", "problems"),
    [
        (
            {"name": "Api.example.org", "hosted_zone_id": "/hostedzone/Z1", "certificate": HERE},
            [
                ("setting_invalid", "deployment.domain.name", "'Api.example.org'"),
                ("setting_invalid", "deployment.domain.hosted_zone_id", "Z0123456789ABCDEFGHIJ"),
                ("setting_unknown", "deployment.domain.certificate", "certificate_arn"),
            ],
        ),
        (
            {"name": f"{'a' * 60}.example.org"},
            [
                ("setting_missing", "deployment.domain", "hosted_zone_id, or certificate_arn"),
                ("setting_invalid", "deployment.domain.name", "72 characters", "64 at most"),
            ],
        ),
        (
            {"certificate_arn": ELSEWHERE, "hosted_zone_id": 3},
            [
                ("setting_invalid", "deployment.domain.hosted_zone_id", "3 does not fit"),
                ("setting_missing", "deployment.domain.name", "add name = a host name"),
                ("setting_invalid", "deployment.domain.certificate_arn", "is in eu-west-1"),
            ],
        ),
        (
            {"name": "api.example.org", "certificate_arn": HERE.replace(":acm:", ":iam:")},
            [("setting_invalid", "deployment.domain.certificate_arn", "arn:aws:acm:us-east-1:")],
        ),
    ],
    ids=["malformed", "without a certificate", "of another region", "of another service"],
)
def test_all_problems_of_a_domain_are_said_at_once(
    tmp_path: Path, keys: dict[str, object], problems: list[tuple[str, ...]]
) -> None:
    with pytest.raises(ConfigError) as caught:
        read_models_toml(in_domain(tmp_path, **keys))
    assert_problems(caught.value.problems, *problems)


def test_a_domain_that_is_no_table_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, '[deployment]\ndomain = "api.example.org"')
    with pytest.raises(ConfigError) as caught:
        read_models_toml(path)
    assert_problems(
        caught.value.problems, ("setting_invalid", "deployment.domain", "a table, such as {")
    )
