"""The specs of the models to serve: `models.toml` as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from contracts.limits import NEW_ACCOUNT_CONCURRENCY
from contracts.names import STREAM_BASE
from contracts.scaling.awake import Awake
from contracts.tasks import WRITING_TASKS, Runtime, Server, Task, Tier, Wake


class Objective(StrEnum):
    """The figure by which the candidate that ships is chosen from those that pass the gate."""

    LATENCY = "latency"
    SIZE = "size"
    ACCURACY = "accuracy"


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuSpec:
    """A Lambda container of a quantized model."""

    # The memory that has one whole vCPU:
    # https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
    memory_mb: int = 1769
    timeout_s: int = 20
    max_inputs: int = 64
    # Characters and not tokens, because the router, which applies it, has no tokenizer.
    max_chars: int = 50_000
    max_tokens: int | None = None
    quantize: str = "int8"
    objective: str = Objective.LATENCY
    runtime: Runtime = Runtime.AUTO
    portable: bool = True
    # None: where they are compiled, and the model is large enough to gain by them.
    kernels: bool | None = None
    snap_start: bool = False
    # For so long a new version gets a tenth of the requests before it gets all; 0 for none.
    canary_minutes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSpec:
    """A SageMaker GPU endpoint of the model in full precision.

    Between `min_instances` and `max_instances` serve, each with one copy, by the requests at once; with 0 it sleeps
    while nobody calls, except in the hours `awake`. One instance more runs while a version is updated.
    """

    instance: str
    server: Server = Server.AUTO
    min_instances: int = 1
    max_instances: int = 1
    # AWS's own example of this metric's target.
    # https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-add-code-define.html
    requests_per_copy: int = 5
    # Application Auto Scaling's own default for SageMaker.
    # https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
    scale_in_cooldown_s: int = 300
    awake: Awake | None = None
    wake: Wake = Wake.PINNED
    # Of the inputs that a cascade keeps, and of all requests of the CPU tier.
    sample: float = 0.01
    shadow: float = 0.0
    source: Path | str | None = None
    # vLLM's name for the form in which the model calls tools.
    tools: str | None = None
    timeout_s: int = 25
    max_inputs: int = 512
    max_chars: int = 1_000_000
    max_tokens: int | None = None
    memory_mb: int = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The thresholds that an artefact must reach against the reference, on the labelled rows, to ship.

    `allow_uninformative_rows` is the user's permission to go on with rows on which the reference is no better than a
    trivial answer, so that the thresholds compare nothing.
    """

    min_accuracy_ratio: float = 0.99
    min_agreement: float = 0.98
    min_cosine_mean: float = 0.99
    min_cosine_p5: float = 0.985
    max_perplexity_ratio: float = 1.01
    min_token_agreement: float = 0.95
    allow_uninformative_rows: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """Options on reading a source: metadata that a bare graph lacks (its tokenizer, labels, and inputs in their order).

    `allow_pickle` is the user's permission to read weights from a pickle, which can run code.
    """

    tokenizer: Path | None = None
    labels: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    allow_pickle: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One table of `models.toml`; a tier without a table is not deployed.

    A source is a local path, or the text of a remote one: hf://org/name@revision, s3://bucket/prefix. By one of the
    `trusted_keys` both the source and the artefacts have to be signed; with none, nothing has to be.
    `split` has the weights by which clients are divided between the two tiers. Of vectors, callers may ask for as few
    dimensions as one of `dimensions` says.
    """

    name: str
    source: Path | str
    task: Task
    eval: Path
    cpu: CpuSpec | None = None
    gpu: GpuSpec | None = None
    gate: Gate = field(default_factory=Gate)
    edge: bool = False
    split: Mapping[Tier, int] = field(default_factory=dict)
    source_options: SourceOptions = field(default_factory=SourceOptions)
    trusted_keys: tuple[Path, ...] = ()
    dimensions: tuple[int, ...] = ()

    @property
    def tiers(self) -> dict[Tier, CpuSpec | GpuSpec]:
        specs: dict[Tier, CpuSpec | GpuSpec | None] = {Tier.CPU: self.cpu, Tier.GPU: self.gpu}
        return {tier: spec for tier, spec in specs.items() if spec}


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """The limits of the API's stage: requests per second, and how many of them at once.

    What is not set is derived from the deployment's concurrency (`stacks/limits/throttle.py`).
    """

    rate: float | None = None
    burst: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A host name of the user's in front of both APIs of a deployment.

    In the hosted zone its record is made, and a certificate where none is given; without a zone the user has a
    certificate, and makes the record.
    """

    name: str
    hosted_zone_id: str = ""
    certificate_arn: str = ""

    @property
    def url(self) -> str:
        return f"https://{self.name}"

    @property
    def stream_url(self) -> str:
        return f"{self.url}/{STREAM_BASE}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """All of `models.toml`: the models that are deployed together, under one name, behind one URL.

    `concurrency` is how many functions may run at once in the account. `cors_origins` are the origins whose scripts
    browsers let call it; none by default, `("*",)` for any. Models that name no `trusted_keys` of their own have the
    deployment's.
    """

    name: str = "turnout"
    region: str = "us-east-1"
    concurrency: int = NEW_ACCOUNT_CONCURRENCY
    throttle: Throttle = field(default_factory=Throttle)
    cors_origins: tuple[str, ...] = ()
    domain: Domain | None = None
    trusted_keys: tuple[Path, ...] = ()
    models: tuple[ModelSpec, ...] = ()

    @property
    def has_gpu(self) -> bool:
        return any(model.gpu for model in self.models)

    @property
    def streams(self) -> bool:
        """Return True if a model writes text, which callers may read as it is written."""
        return any(model.task in WRITING_TASKS for model in self.models)
