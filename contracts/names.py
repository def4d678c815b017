"""Names of deployed things, computed from what the user wrote, so that stacks need no exports between them.

Budget: 16 characters of deployment, 32 of model, 3 of tier and 2 hyphens are 53, within SageMaker's 63; with an
instance type, such as `-g4dn-xl`, at most 63. SageMaker writes names in ARNs in lower case, so only `[a-z0-9-]` is
allowed throughout.
"""

import re

from contracts.tasks import Tier

MAX_DEPLOYMENT_CHARS = 16
MAX_MODEL_CHARS = 32
ALIAS = "live"
# The path of a custom domain below which the API that streams is. No path of the router begins with it.
STREAM_BASE = "stream"
# What the name of a canary's parameter has after that of the release. No tier is called so.
CANARY = "-canary"
# A letter first, as CloudFormation wants of a stack's name.
# https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html
_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")


def is_name(text: str, max_chars: int) -> bool:
    return len(text) <= max_chars and bool(_NAME.fullmatch(text)) and "--" not in text


def model_stack(deployment: str, model: str, tier: Tier) -> str:
    """Return the name of a model tier's stack and function."""
    return f"{deployment}-{model}-{tier}"


def endpoint(deployment: str, model: str, instance: str) -> str:
    """Return the name that an endpoint on an instance type shares with its inference component.

    SageMaker refuses to update an endpoint of components to another type, so that another type is another endpoint.
    """
    short = instance.removeprefix("ml.").replace(".", "-").replace("xlarge", "xl")
    return f"{model_stack(deployment, model, Tier.GPU)}-{short}"


def router_stack(deployment: str) -> str:
    """Return the name of the router's stack and function."""
    return f"{deployment}-router"


def stream_function(deployment: str) -> str:
    """Return the name of the router's function behind the API that streams. No model's ends like it."""
    return f"{router_stack(deployment)}-stream"


def registry(deployment: str) -> str:
    """Return the path below which a deployment's releases are parameters of Systems Manager."""
    return f"/turnout/{deployment}"


def release_parameter(deployment: str, model: str, tier: Tier) -> str:
    """Return the name of the parameter that has the release of a model on a tier."""
    return f"{registry(deployment)}/{model}/{tier}"


def canary_parameter(deployment: str, model: str) -> str:
    """Return the name of the parameter that has the version which the CPU tier of a model is to have next."""
    return f"{release_parameter(deployment, model, Tier.CPU)}{CANARY}"


def prober_function(deployment: str) -> str:
    """Return the name of the function behind the custom resource that has functions answer their probes."""
    return f"{deployment}-prober"


def states_stack(deployment: str) -> str:
    """Return the name of the stack of shared states, and of its table."""
    return f"{deployment}-states"


def weights_stack(deployment: str) -> str:
    """Return the name of the stack of the bucket that weights are pushed to."""
    return f"{deployment}-weights"


def weights_bucket(deployment: str, account: str, region: str) -> str:
    """Return the name of that bucket, which is one of all accounts and regions."""
    return f"{weights_stack(deployment)}-{account}-{region}"


def observer_function(deployment: str) -> str:
    """Return the name of the function that writes the copies of GPU tiers to that table."""
    return f"{deployment}-observer"


def sampling_function(deployment: str) -> str:
    """Return the name of the function that compares answers of the CPU tier with the GPU tier's."""
    return f"{deployment}-sampler"


def image_tag_prefix(deployment: str) -> str:
    """Return what the tags of a deployment's images begin with in the repository that it shares with other CDK apps.

    A name has no underscore, so that it is no beginning of another deployment's.
    """
    return f"turnout-{deployment}_"


def asset_prefix(deployment: str) -> str:
    """Return what the keys of a deployment's files begin with in the bucket that it shares with other CDK apps."""
    return f"turnout/{deployment}/"
