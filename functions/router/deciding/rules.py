"""The rules of a decision: each takes the targets that are left and returns those that stay; the last rank them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from contracts.cascade.confidence import binding
from contracts.http_errors import InvalidInput, RequestProblem, TooLarge
from contracts.limits import asked_dimensions, vectors_per_answer
from contracts.prediction import PredictRequest, Prefer
from contracts.routes import Cascade, Route, Target
from contracts.tasks import Server, Task, Tier
from functions.router.deciding.latency import expected_ms, tokens_of, writing_ms
from functions.router.deciding.split import distance
from functions.router.targets.health import READY, TargetState

Targets = tuple[Target, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A request, the route of its model, and the states of the targets by tier at the time `now`.

    `withdrawn` says that the threshold of the model's cascade was withdrawn; `chance` is a random number from 0 to 1.
    The characters of the request are counted once: it may have a million inputs, and every rule asks.
    """

    request: PredictRequest
    route: Route
    states: Mapping[Tier, TargetState]
    now: float
    withdrawn: bool = False
    chance: float = 1.0
    chars: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "chars", self.request.chars)

    def state(self, target: Target) -> TargetState:
        return self.states.get(target.tier, READY)

    def expected_ms(self, target: Target) -> float | None:
        """Return the expected milliseconds on a target; None if nothing was measured of it.

        Text that is generated takes the time that it may: it ends at the deadline.
        """
        if self.writes:
            return None
        inputs = len(self.request.inputs)
        tokens = tokens_of(self.chars, inputs, self.route)
        return expected_ms(target, self.state(target), inputs, tokens)

    @property
    def writes(self) -> bool:
        return self.route.task in (Task.TEXT_GENERATION, Task.TEXT2TEXT_GENERATION)

    def whole_ms(self, target: Target) -> float | None:
        """Return the expected milliseconds of a whole answer; None if nothing was measured, or nobody knows."""
        if not self.writes:
            return self.expected_ms(target)
        inputs = len(self.request.inputs)
        return writing_ms(target, inputs, tokens_of(self.chars, inputs, self.route), self.request)

    def is_cut(self, target: Target) -> bool:
        """Return True if a target is expected to have written only a part of the text by the deadline."""
        left_ms = (self.request.deadline - self.now) * 1e3
        return self.writes and (self.whole_ms(target) or 0.0) > left_ms


def longest_expected_ms(case: Case) -> float | None:
    """Return the longest expected time of the request on any of its targets; None if nothing was measured of them.

    What an instance has not seen of one target is taken to be like that of the other.
    """
    expected = (case.expected_ms(target) for target in case.route.targets.values())
    return max((ms for ms in expected if ms is not None), default=None)


Rule = Callable[[Case, Targets], Targets]


def of_tier(case: Case, targets: Targets) -> Targets:
    """Leave the tier that the request pins, and the CPU tier that may answer for a GPU; raise InvalidInput."""
    tier = case.request.tier
    if tier is None:
        return targets
    if tier not in case.route.targets:
        tiers = " and ".join(case.route.targets)
        raise _invalid("/tier", f"{case.route.model} has no {tier} tier; it has {tiers}")
    pinned = case.route.targets[tier]
    if reason := over_limits(case, pinned):
        raise TooLarge(f"the request pins the {tier} tier, but {reason}")
    return tuple(t for t in targets if t is pinned or stands_in(case.request, pinned, t))


def of_version(case: Case, targets: Targets) -> Targets:
    """Leave the targets of the version that the request pins; raise InvalidInput if there is none."""
    version = case.request.version
    if version is None:
        return targets
    left = tuple(target for target in targets if target.version == version)
    if not left:
        known = " and ".join(f"{target.version} ({target.tier})" for target in targets)
        detail = f"{case.route.model} has no such version here; it has {known}"
        raise _invalid("/version", detail)
    return left


def of_server(case: Case, targets: Targets) -> Targets:
    """Leave the targets whose server does what the request passes to it; raise InvalidInput if there is none."""
    passed = case.request.passed
    left = tuple(target for target in targets if target.server is Server.VLLM)
    if passed and not left:
        first = next(iter(passed))
        tiers = " and ".join(target.tier for target in targets)
        raise _invalid(
            f"/{first}", f"only vLLM does this, and the {tiers} tier runs another server"
        )
    return left if passed else targets


def within_limits(case: Case, targets: Targets) -> Targets:
    """Leave the targets whose limits the request keeps; raise TooLarge with every limit if there is none."""
    reasons = {t.tier: over_limits(case, t) for t in targets}
    left = tuple(target for target in targets if not reasons[target.tier])
    if not left:
        listed = "; ".join(f"{tier}: {reason}" for tier, reason in reasons.items())
        raise TooLarge(f"no tier of {case.route.model} takes this request ({listed})")
    return left


def in_time(case: Case, targets: Targets) -> Targets:
    """Leave the targets that are expected to answer by the deadline; all of them if none is, or one is pinned."""
    if case.request.tier is not None:
        return targets
    left_ms = (case.request.deadline - case.now) * 1e3
    # An estimate refuses nothing: it is the build machine's, and the caller's own clock decides.
    return tuple(t for t in targets if (case.expected_ms(t) or 0.0) <= left_ms) or targets


def ranked(case: Case, targets: Targets) -> Targets:
    """Return the targets in the order that the request wishes: a pinned one first, by preference, or by price.

    Where a threshold was withdrawn, no answer is known to be certain enough: the GPU tier comes first.
    """
    match case.request:
        case PredictRequest(tier=Tier() as tier):
            return tuple(sorted(targets, key=lambda target: target.tier is not tier))
        case PredictRequest(prefer=Prefer.QUALITY):
            # A GPU tier runs the model in full precision, or a larger one.
            return tuple(sorted(targets, key=lambda target: target.tier is not Tier.GPU))
        case PredictRequest(prefer=Prefer.FAST):
            return tuple(sorted(targets, key=lambda target: _or_last(case.whole_ms(target))))
    if needs_gpu(case):
        return tuple(sorted(targets, key=lambda target: target.tier is not Tier.GPU))
    return tuple(sorted(targets, key=lambda target: target.tier is not Tier.CPU))


def split(case: Case, targets: Targets) -> Targets:
    """Return the targets in the order for the client of the request, unless it has a wish of its own."""
    route, request = case.route, case.request
    if not route.split or request.tier is not None or request.prefer is not None:
        return targets
    # What no threshold tells apart any more is the GPU tier's, whoever asks.
    if needs_gpu(case):
        return targets
    client = request.client or ""
    return tuple(
        sorted(targets, key=lambda t: distance(route.model, t.tier, client, route.split[t.tier]))
    )


def uncut(case: Case, targets: Targets) -> Targets:
    """Put the targets first that write all of the text by the deadline, unless the request has a wish of its own.

    A text that is cut is an answer as well, so that no target is left out.
    """
    if case.request.tier is not None or case.request.prefer is not None:
        return targets
    return tuple(sorted(targets, key=case.is_cut))


# A policy is a function in this tuple. The first ones filter, the last rank.
RULES: tuple[Rule, ...] = (
    of_tier,
    of_version,
    of_server,
    within_limits,
    in_time,
    ranked,
    split,
    uncut,
)


def needs_gpu(case: Case) -> bool:
    """Return True for a request whose answers a threshold would tell apart that was withdrawn."""
    return case.withdrawn and cascade_for(case.request, case.route) is not None


def cascade_of(case: Case) -> Cascade | None:
    """Return the cascade of a model if it holds for a request, and its threshold was not withdrawn."""
    return None if case.withdrawn else cascade_for(case.request, case.route)


def cascade_for(request: PredictRequest, route: Route) -> Cascade | None:
    """Return the cascade of a model if it holds for a request: of its kind, and neither pinned nor in a hurry."""
    cascade = route.cascade
    if cascade is None or cascade.off or request.tier is not None or request.version is not None:
        return None
    if request.prefer in (Prefer.FAST, Prefer.CHEAP):
        return None
    return cascade if binding(route.task, request.parameters) == cascade.parameters else None


def stands_in(request: PredictRequest, wanted: Target, other: Target) -> bool:
    """Return True if another target may answer for the one that the rules want.

    A CPU tier does so as long as the request allows degraded answers; a GPU tier's are none, but a request that pins
    the CPU tier means that one.
    """
    if wanted.tier is Tier.GPU:
        return request.allow_degraded
    return request.tier is None


def over_limits(case: Case, target: Target) -> str | None:
    """Return the reason why the target does not take the request; None if it does."""
    inputs, route = len(case.request.inputs), case.route
    dimensions = asked_dimensions(
        case.request.parameters, route.dimensions, route.shorter_dimensions
    )
    if inputs > target.max_inputs:
        return f"{inputs} inputs are more than its {target.max_inputs}"
    # The router has no tokenizer, so lengths are limited in characters.
    if case.chars > target.max_chars:
        return f"{case.chars} characters are more than its {target.max_chars}"
    if dimensions and inputs > (limit := vectors_per_answer(dimensions)):
        return f"{inputs} vectors of {dimensions} floats would pass the 6 MB of one answer, {limit} would not"
    return None


def _invalid(pointer: str, detail: str) -> InvalidInput:
    return InvalidInput(
        f"{pointer}: {detail}", problems=[RequestProblem(pointer=pointer, detail=detail)]
    )


def _or_last(ms: float | None) -> float:
    return float("inf") if ms is None else ms
