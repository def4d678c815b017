"""The route table in the router's image: its models, their targets and the hashes of its keys."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from contracts.cascade.drift import Baseline
from contracts.cascade.sampling import Calibrated
from contracts.tasks import Server, Task, Tier, Wake


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One deployed copy of a model and its limits.

    `address` is the function with its alias for a cpu tier, and for a gpu tier the name that endpoint and inference
    component share once this deployment is complete. `version` is the one that was deployed with this table; an answer
    names its own. `latency_ms` are the milliseconds of one input, or of each token that a model writes, by the tokens
    that it reads, as the build has measured them, the fewest first; empty where it has not. `wake` says which requests
    wake a tier that sleeps, which takes `wake_s`. A tier that `sleeps` may be without a copy. A share `sample` of the
    inputs that a cascade keeps, and a share `shadow` of all requests of the CPU tier, are sent to a GPU tier as well,
    to compare the answers. `server` says whose requests its container takes. One that is not `proved` has
    weights that no machine of the user's has run.
    """

    model: str
    tier: Tier
    address: str
    version: str
    precision: str
    max_inputs: int
    max_chars: int
    max_tokens: int
    timeout_s: int
    latency_ms: tuple[tuple[int, float], ...] = ()
    wake: Wake = Wake.PINNED
    wake_s: float = 0.0
    sleeps: bool = False
    sample: float = 0.0
    shadow: float = 0.0
    server: Server = Server.TURNOUT
    proved: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Cascade:
    """The calibration of a model's cascade, as far as the router needs it; nothing is escalated where it is `off`.

    An answer of the CPU tier whose confidence is below `threshold` is asked for on the GPU tier, if the parameters of
    the request are of the kind of `parameters`. The rest is for callers: `kept` of the `rows` that it was tested on
    were kept, and `lost` of them; of others at most `bound` are, with the probability `assurance`, unless there are
    `doubts`. Of the kept ones the GPU tier answered `disagreed` otherwise. `digest` is the calibration's own.
    """

    threshold: float
    parameters: Mapping[str, Any]
    rows: int
    kept: float
    lost: float
    bound: float
    assurance: float
    doubts: tuple[str, ...] = ()
    off: str = ""
    digest: str = ""
    disagreed: int = 0

    @property
    def calibrated(self) -> Calibrated:
        baseline = Baseline(kept=round(self.kept * self.rows), disagreed=self.disagreed)
        return Calibrated(digest=self.digest, baseline=baseline)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One model and its targets by tier, the cheapest first. `dimensions` bounds how many vectors fit one answer.

    `chars_per_token` is that of the rows that the model was built with; 0 where the build has not counted it.
    `split` has the weights by which clients are divided between the tiers; none where the cheapest is wanted. A model
    that takes chats has a chat template on each of its tiers. Callers may ask for as few dimensions as one of
    `shorter_dimensions` says.
    """

    model: str
    task: Task
    targets: Mapping[Tier, Target]
    labels: tuple[str, ...] = ()
    dimensions: int = 0
    chars_per_token: float = 0.0
    cascade: Cascade | None = None
    split: Mapping[Tier, int] = field(default_factory=dict)
    chat: bool = False
    shorter_dimensions: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """The whole route table; `key_hashes` are the SHA-256 of the keys by their name.

    `cors_origins` are the origins whose scripts browsers let call the router. `states` is the table of shared states;
    empty where no model has a GPU tier. `sampler` is the function, with its alias, that compares answers of the CPU
    tier with the GPU tier's; empty where nothing is sampled.
    """

    deployment: str
    registry: str
    models: Mapping[str, Route] = field(default_factory=dict)
    key_hashes: Mapping[str, str] = field(default_factory=dict)
    cors_origins: tuple[str, ...] = ()
    states: str = ""
    sampler: str = ""

    def to_json(self) -> str:
        # Sorted, so that the order of models.toml changes nothing of the router's image, and no deployment follows.
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        document: dict[str, Any] = json.loads(text)
        document["models"] = {name: _route(route) for name, route in document["models"].items()}
        document["cors_origins"] = tuple(document["cors_origins"])
        return cls(**document)

    @classmethod
    def read(cls, path: Path) -> Self:
        return cls.from_json(path.read_text("utf-8"))


def _route(document: dict[str, Any]) -> Route:
    targets = {Tier(tier): _target(target) for tier, target in document["targets"].items()}
    return Route(
        model=document["model"],
        task=Task(document["task"]),
        targets=targets,
        labels=tuple(document["labels"]),
        dimensions=document["dimensions"],
        chars_per_token=document["chars_per_token"],
        cascade=_cascade(document["cascade"]),
        split={Tier(tier): weight for tier, weight in document["split"].items()},
        chat=document["chat"],
        shorter_dimensions=tuple(document["shorter_dimensions"]),
    )


def _cascade(document: dict[str, Any] | None) -> Cascade | None:
    if document is None:
        return None
    return Cascade(**{**document, "doubts": tuple(document["doubts"])})


def _target(document: dict[str, Any]) -> Target:
    latency_ms = tuple((int(tokens), float(ms)) for tokens, ms in document["latency_ms"])
    kinds = {
        "tier": Tier(document["tier"]),
        "wake": Wake(document["wake"]),
        "server": Server(document["server"]),
    }
    return Target(**{**document, **kinds, "latency_ms": latency_ms})
