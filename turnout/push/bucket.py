"""The bucket of a deployment's weights: found, or made by its stack, which the CDK's command line takes over."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from contracts.names import weights_bucket, weights_stack
from contracts.problems import Code
from contracts.specs import Deployment
from turnout.deployed.clients import Client, Clients, code_of
from turnout.deployed.stacks import TAG
from turnout.progress import Say
from turnout.push.errors import PushFailed

CDK_JSON = Path(__file__).resolve().parents[2] / "cdk.json"
CHANGE_SET = "turnout-push"
# A bucket takes seconds to make; botocore asks each time after so many.
WAIT_S, WAITS = 2, 150
Template = Callable[[Deployment, str], str]


def have_bucket(
    deployment: Deployment, clients: Clients, say: Say, template: Template | None = None
) -> str:
    """Return the name of the bucket, made where it is not there; raise PushFailed, and botocore's errors."""
    account = str(clients("sts").get_caller_identity()["Account"])
    bucket = weights_bucket(deployment.name, account, deployment.region)
    if not is_there(clients("s3"), bucket):
        say(f"making the bucket {bucket}, as stack {weights_stack(deployment.name)}")
        text = (template or template_of)(deployment, account)
        _deploy(clients("cloudformation"), deployment.name, text)
    return bucket


def is_there(s3: Client, bucket: str) -> bool:
    """Return True for a bucket of this account; raise PushFailed for one of another."""
    from botocore.exceptions import ClientError

    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if code_of(error) in ("404", "NoSuchBucket"):
            return False
        if code_of(error) == "403":
            message = (
                "is not open to who runs this; allow s3:ListBucket, s3:GetObject and s3:PutObject"
            )
            raise PushFailed.about(bucket, Code.WEIGHTS_DENIED, message) from error
        raise
    return True


def template_of(deployment: Deployment, account: str) -> str:
    """Return the template of the stack, as the CDK makes it of the whole app."""
    # Starting the CDK takes seconds.
    import aws_cdk as cdk

    from stacks.weights.stack import add_weights_stack

    context = json.loads(CDK_JSON.read_text("utf-8"))["context"]
    with tempfile.TemporaryDirectory() as folder:
        app = cdk.App(outdir=folder, context=context)
        stack = add_weights_stack(app, deployment.name, account, deployment.region)
        app.synth()
        return Path(folder, str(stack.template_file)).read_text("utf-8")


def _deploy(cloudformation: Client, deployment: str, template: str) -> None:
    """Create the stack and wait for it, by a change set, as the CDK does; raise PushFailed."""
    from botocore.exceptions import WaiterError

    name = weights_stack(deployment)
    waiting = {"Delay": WAIT_S, "MaxAttempts": WAITS}
    try:
        cloudformation.create_change_set(
            StackName=name,
            ChangeSetName=CHANGE_SET,
            ChangeSetType="CREATE",
            TemplateBody=template,
            Tags=[{"Key": TAG, "Value": deployment}],
        )
        cloudformation.get_waiter("change_set_create_complete").wait(
            StackName=name, ChangeSetName=CHANGE_SET, WaiterConfig=waiting
        )
        cloudformation.execute_change_set(StackName=name, ChangeSetName=CHANGE_SET)
        cloudformation.get_waiter("stack_create_complete").wait(
            StackName=name, WaiterConfig=waiting
        )
    except WaiterError as error:
        message = (
            f"was not made ({error}); see its events in CloudFormation, delete it, and push again"
        )
        raise PushFailed.about(name, Code.WEIGHTS_DENIED, message) from error
