"""A mutation: a fault that is put into a synthesised stack, what an account makes of it, and what catches it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stacks.rules.document import Document, Json
from tests.fixtures.paths import ROOT

SETTINGS: Path = ROOT / "tests/stacks/every_setting.toml"
# The stacks of these settings that faults are put into.
DEPLOYMENT, MODEL = "sixteen-chars-ab", "thirty-two-characters-is-a-name2"
ROUTER, CPU, GPU = f"{DEPLOYMENT}-router", f"{DEPLOYMENT}-{MODEL}-cpu", f"{DEPLOYMENT}-{MODEL}-gpu"
STATES = f"{DEPLOYMENT}-states"
CHAT, WEIGHTS = f"{DEPLOYMENT}-chat-gpu", f"{DEPLOYMENT}-weights"
WRITER = f"{DEPLOYMENT}-chat-cpu"
SNAPSHOT, SLEEPER = f"{DEPLOYMENT}-words-cpu", f"{DEPLOYMENT}-labels-gpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """A fault. `spoil` changes a stack's document in place; `caught_by` has a code for each checker that sees it."""

    spoil: Callable[[Document], None]
    stack: str
    account: str
    caught_by: tuple[str, ...]
    source: str = ""

    @property
    def name(self) -> str:
        return self.spoil.__name__


def ours(code: str) -> str:
    """Return the code of a rule in `stacks/rules/`."""
    return f"turnout {code}"


def lint(code: str) -> str:
    """Return the code of a rule of cfn-lint."""
    return f"cfn-lint {code}"


def nag(code: str) -> str:
    """Return the code of a rule of cdk-nag's AwsSolutions."""
    return f"cdk-nag {code}"


def model(code: str) -> str:
    """Return the code of a difference from a service model of botocore's."""
    return f"botocore {code}"


def first(stack: Document, kind: str) -> Json:
    """Return the properties of the first resource of a type, to be changed."""
    return next(iter(stack.of(kind).values()))


def resource(stack: Document, kind: str) -> Json:
    """Return the first resource of a type, to be changed."""
    return next(one for one in stack.all.values() if one["Type"] == kind)


def image_function(stack: Document) -> Json:
    """Return the properties of the function of a stack that is an image."""
    return next(
        one for one in stack.of("AWS::Lambda::Function").values() if "ImageUri" in one["Code"]
    )


def zip_function(stack: Document) -> Json:
    """Return the properties of the function of a stack that is an archive of code."""
    return next(one for one in stack.of("AWS::Lambda::Function").values() if "S3Key" in one["Code"])


def variant(stack: Document) -> Json:
    """Return the production variant of a GPU stack."""
    found: Json = first(stack, "AWS::SageMaker::EndpointConfig")["ProductionVariants"][0]
    return found


def statement(stack: Document, action: str) -> Json:
    """Return the first statement of a policy that allows an action."""
    return next(
        one
        for policy in stack.of("AWS::IAM::Policy").values()
        for one in policy["PolicyDocument"]["Statement"]
        if action in one["Action"]
    )
