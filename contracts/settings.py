"""The settings of `models.toml`: the keys of each table, and the kind of value that each takes."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from contracts.limits import (
    GATEWAY_TIMEOUT_S,
    LAMBDA_MEMORY_MB,
    MAX_CPU_WRITING_S,
    MAX_GPU_WRITING_S,
    MAX_TIER_TIMEOUT_S,
    STAGE_BURST,
    STAGE_RATE,
)
from contracts.names import MAX_DEPLOYMENT_CHARS, MAX_MODEL_CHARS, is_name
from contracts.scaling.awake import FORM
from contracts.specs import Objective
from contracts.tasks import WRITING_TASKS, Runtime, Server, Task, Tier, Wake
from contracts.toml.kinds import FLAG, TABLE, Kind, between, is_int, is_number, one_of

ANSWERS, VECTORS = ("min_accuracy_ratio", "min_agreement"), ("min_cosine_mean", "min_cosine_p5")
SCORES, GENERATED = ("max_perplexity_ratio",), ("max_perplexity_ratio", "min_token_agreement")
GATE_KEYS = {
    **dict.fromkeys(Task, ANSWERS),
    Task.TEXT_GENERATION: GENERATED,
    Task.TEXT2TEXT_GENERATION: GENERATED,
    Task.FEATURE_EXTRACTION: (*VECTORS, "min_accuracy_ratio"),
    Task.WORD_VECTORS: VECTORS,
    Task.LANGUAGE_MODEL_SCORING: SCORES,
}
# A key of the gate for every task.
UNINFORMATIVE = "allow_uninformative_rows"


def _are_origins(values: list[Any]) -> bool:
    return all(
        isinstance(v, str) and ORIGIN.fullmatch(v) and not OWN_PORT.fullmatch(v) for v in values
    ) and len(set(values)) == len(values)


def _name(max_chars: int) -> Kind:
    return Kind(
        f"lower-case letters, digits and single hyphens, a letter first, at most {max_chars}",
        lambda v: isinstance(v, str) and is_name(v, max_chars),
    )


SHARE = Kind("a number from 0 to 1", lambda v: is_number(v) and 0 <= v <= 1)
RATIO_FROM_1 = Kind("a number from 1 to 2", lambda v: is_number(v) and 1 <= v <= 2)
PATH = Kind("a path, as text", lambda v: isinstance(v, str) and bool(v.strip()), Path)
REMOTE = ("hf://", "s3://")
SOURCE = Kind(
    "a path, hf://org/name@revision or s3://bucket/prefix",
    # Another scheme would be taken for the name of a folder.
    lambda v: PATH.accepts(v) and (v.startswith(REMOTE) or "://" not in v),
    lambda v: v if v.startswith(REMOTE) else Path(v),
)
# The form alone, so that a typing error is found before anything is built: `stacks.settings.aws_problems` checks at
# synthesis that the type is in the table of `stacks/instances.py`.
INSTANCE = Kind(
    'a SageMaker instance type such as "ml.g6.xlarge"',
    lambda v: isinstance(v, str) and v.startswith("ml.") and v.count(".") == 2,
)
REGION = Kind(
    # Some have three hyphens, such as us-gov-east-1.
    'an AWS region such as "us-east-1"',
    lambda v: isinstance(v, str) and v.count("-") >= 2,
)
TASK = Kind(
    "one of " + ", ".join(f'"{t}"' for t in Task),
    lambda v: isinstance(v, str) and v in set(Task),
    Task,
)
NAMES = Kind(
    "a list of texts",
    lambda v: isinstance(v, list) and bool(v) and all(isinstance(n, str) and n for n in v),
    tuple,
)
# A browser sends the scheme and the host in lower case, and no port that is the scheme's own.
# https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?")
OWN_PORT = re.compile(r"http://.*:80|https://.*:443")
ORIGINS = Kind(
    'a list of origins as browsers send them, such as "https://app.example.com", each once: scheme and host in '
    'lower case, no path, no port that is the scheme\'s own; or ["*"] for any',
    lambda v: isinstance(v, list) and (v == ["*"] or _are_origins(v)),
    tuple,
)
# Names of more than one part (RFC 1123), the last of which is no number, as it would be of an address.
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)+(?![0-9]+\Z){_LABEL}")
HOST = Kind(
    'a host name such as "api.example.org": lower case, other scripts as "xn--…", without https://, port, path or *',
    lambda v: isinstance(v, str) and bool(_HOST.fullmatch(v)),
)
_ZONE = re.compile("Z[A-Z0-9]{1,31}")
HOSTED_ZONE = Kind(
    'the id of a hosted zone, such as "Z0123456789ABCDEFGHIJ"',
    lambda v: isinstance(v, str) and bool(_ZONE.fullmatch(v)),
)
_CERTIFICATE = re.compile("arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9-]+")
CERTIFICATE = Kind(
    'the ARN of a certificate, such as "arn:aws:acm:us-east-1:123456789012:certificate/…"',
    lambda v: isinstance(v, str) and bool(_CERTIFICATE.fullmatch(v)),
)
# The first name of a certificate of ACM's, which goes into its common name.
# https://docs.aws.amazon.com/acm/latest/APIReference/API_RequestCertificate.html
MAX_CERTIFIED_CHARS = 64
PATHS = Kind(
    "a list of paths, each once",
    lambda v: isinstance(v, list) and all(map(PATH.accepts, v)) and len(set(v)) == len(v),
    lambda v: tuple(map(Path, v)),
)
LABELS = Kind(
    "a list of texts, each of them once",
    lambda v: NAMES.accepts(v) and len(set(v)) == len(v),
    tuple,
)
DIMENSIONS = Kind(
    "a list of whole numbers from 1 up, each once",
    lambda v: isinstance(v, list) and all(is_int(n) and n > 0 for n in v) and len(set(v)) == len(v),
    lambda v: tuple(sorted(v, reverse=True)),
)
AWAKE = Kind(f"{FORM}, as text", lambda v: isinstance(v, str))
POSITIVE = between(1, 10_000_000)
# An update replaces one copy at a time, and a batch of SageMaker's is at least 5 % of the copies.
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_InferenceComponentRollingUpdatePolicy.html
MAX_INSTANCES = 20

# CodeDeploy has configurations of its own for these, each with 10 percent. Of others an account may have 50 in all.
# https://docs.aws.amazon.com/codedeploy/latest/userguide/deployment-configurations.html
# https://docs.aws.amazon.com/codedeploy/latest/userguide/limits.html
CANARY_MINUTES = (0, 5, 10, 15, 30)

CPU_KEYS = {
    "memory_mb": between(*LAMBDA_MEMORY_MB),
    "timeout_s": between(1, MAX_CPU_WRITING_S),
    "max_inputs": POSITIVE,
    "max_chars": POSITIVE,
    "max_tokens": between(2, 1_000_000),
    "quantize": one_of("int8", "none"),
    "objective": one_of(*Objective),
    "runtime": replace(one_of(*Runtime), take=Runtime),
    "portable": FLAG,
    "kernels": FLAG,
    "snap_start": FLAG,
    "canary_minutes": Kind(
        "one of " + ", ".join(map(str, CANARY_MINUTES)),
        lambda v: type(v) is int and v in CANARY_MINUTES,
    ),
}
PARSER = Kind(
    'the name of a tool parser of vLLM, such as "hermes"',
    lambda v: isinstance(v, str) and re.fullmatch("[a-z0-9_]{1,40}", v) is not None,
)
GPU_KEYS = {
    "instance": INSTANCE,
    "server": replace(one_of(*Server), take=Server),
    "source": SOURCE,
    "tools": PARSER,
    "timeout_s": between(1, MAX_GPU_WRITING_S),
    "max_inputs": POSITIVE,
    "max_chars": POSITIVE,
    "max_tokens": between(2, 1_000_000),
    # SageMaker's minimum (`MinMemoryRequiredInMb` in the service model).
    "memory_mb": between(128, 2_000_000),
    "min_instances": between(0, MAX_INSTANCES),
    "max_instances": between(1, MAX_INSTANCES),
    "requests_per_copy": between(1, 1000),
    "scale_in_cooldown_s": between(0, 86_400),
    "awake": AWAKE,
    "wake": replace(one_of(*Wake), take=Wake),
    "sample": SHARE,
    "shadow": SHARE,
}


def of_task(keys: Mapping[str, Kind], task: Task | None) -> Mapping[str, Kind]:
    """Return the keys of a tier's table for a task: without the long times of a model that writes for any other."""
    if task is None or task in WRITING_TASKS:
        return keys
    short = between(1, MAX_TIER_TIMEOUT_S)
    why = f"the HTTP API waits {GATEWAY_TIMEOUT_S} s, and only models that write have longer"
    return {**keys, "timeout_s": replace(short, name=f"{short.name}: {why}")}


MODEL_KEYS = {
    "source": SOURCE,
    "task": TASK,
    "eval": PATH,
    "tokenizer": PATH,
    "labels": LABELS,
    "inputs": NAMES,
    "dimensions": DIMENSIONS,
    "pickle": FLAG,
    "cpu": TABLE,
    "gpu": TABLE,
    "gate": TABLE,
    "edge": FLAG,
    "split": TABLE,
    "trusted_keys": PATHS,
}
SPLIT_KEYS = {tier.value: between(0, 1000) for tier in Tier}
MODEL_NAME = _name(MAX_MODEL_CHARS)
DEPLOYMENT_KEYS = {
    "name": _name(MAX_DEPLOYMENT_CHARS),
    "region": REGION,
    "concurrency": between(2, 1_000_000),
    "throttle": TABLE,
    "cors_origins": ORIGINS,
    "domain": replace(
        TABLE, name='a table, such as { name = "api.example.org", hosted_zone_id = "Z…" }'
    ),
    "trusted_keys": PATHS,
}
DOMAIN_KEYS = {"name": HOST, "hosted_zone_id": HOSTED_ZONE, "certificate_arn": CERTIFICATE}
RATE = Kind(
    f"a number from 0.001 to {STAGE_RATE}", lambda v: is_number(v) and 0.001 <= v <= STAGE_RATE
)
THROTTLE_KEYS = {"rate": RATE, "burst": between(1, STAGE_BURST)}
