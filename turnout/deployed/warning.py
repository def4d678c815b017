"""The warning of orphans with which a deployment begins, while its stacks are synthesised and at no cost in time."""

import threading
from collections.abc import Callable

from contracts.specs import Deployment
from turnout.deployed.clients import Clients, clients_in, refusal
from turnout.deployed.stacks import stacks_of, tagged_stacks

# Beyond the synthesis, which takes longer than the two calls.
WAIT_S = 3.0
NOT_LOOKED = "note: nobody looked for orphans of an earlier deployment"


def watch(
    deployment: Deployment, account: str, clients: Callable[[str], Clients] = clients_in
) -> Callable[[], list[str]]:
    """Look for orphaned stacks in a thread; return a function that waits for it, shortly, and returns the warnings.

    `account` is the one that the CDK's command line has credentials for. Those of its `--profile` do not reach an app.
    """
    lines: list[str] = []

    def look() -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            lines.extend(_warnings(deployment, account, clients(deployment.region)))
        except (BotoCoreError, ClientError) as error:
            lines.append(f"{NOT_LOOKED}: {refusal(error)[0]}")

    thread = threading.Thread(target=look, daemon=True, name="orphans")
    thread.start()

    def wait() -> list[str]:
        thread.join(WAIT_S)
        return [f"{NOT_LOOKED}: AWS did not answer in time"] if thread.is_alive() else lines

    return wait


def _warnings(deployment: Deployment, account: str, clients: Clients) -> list[str]:
    ours = clients("sts").get_caller_identity()["Account"]
    if ours != account:
        return [
            f"{NOT_LOOKED}: the app has credentials for account {ours}, and the CDK for {account}; "
            "set AWS_PROFILE in place of --profile"
        ]
    own = stacks_of(deployment)
    return [
        f"warning: stack {stack['StackName']} is not in models.toml any more, and is still paid for; "
        "`turnout orphans --delete` deletes it"
        for stack in tagged_stacks(clients("cloudformation"), deployment)
        if stack["StackName"] not in own
    ]
