"""The calls that Lambda and SageMaker make with the role of a function or a container."""

from collections.abc import Iterable, Sequence

from local.permissions.access import Access
from local.permissions.errors import AccessDenied
from local.permissions.operations import Needed

LAMBDA = "lambda.amazonaws.com"
SAGEMAKER = "sagemaker.amazonaws.com"
GATEWAY = "apigateway.amazonaws.com"
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/repository-policy-examples.html
PULL = ("ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage")
WRITE = ("logs:CreateLogStream", "logs:PutLogEvents")


def log_needs(region: str, account: str, group: str, stream: str) -> Sequence[Needed]:
    """Return the permissions with which a service writes a stream of a log."""
    arn = f"arn:aws:logs:{region}:{account}:log-group:{group}:log-stream:{stream}"
    return [Needed(action=action, resource=arn) for action in WRITE]


def pull_needs(image: str) -> Sequence[Needed]:
    """Return the permissions with which SageMaker pulls an image, `ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG`."""
    host, _, path = image.partition("/")
    account, _, _, region, *_ = host.split(".")
    name = path.partition("@")[0].partition(":")[0]
    arn = f"arn:aws:ecr:{region}:{account}:repository/{name}"
    token = Needed(action="ecr:GetAuthorizationToken", resource="*")
    return [token, *(Needed(action=action, resource=arn) for action in PULL)]


def check_pull(access: Access, role: str, image: str) -> None:
    """Check that SageMaker may assume a role and pull an image with it; raise AccessDenied with all that is missing."""
    access.check_trust(role, SAGEMAKER, {"aws:SourceAccount": access.account})
    if problems := access.refusals(role, pull_needs(image)):
        raise AccessDenied("; ".join(problems))


def may_log(access: Access, role: str, needs: Iterable[Needed]) -> bool:
    """Return true if a service may write a log with a role; otherwise report why there is none, as AWS does not."""
    problems = access.refusals(role, needs)
    for problem in problems:
        access.report(f"a log is lost: {problem}")
    return not problems
