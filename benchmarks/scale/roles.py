"""The router's stack alone with very many models: its roles name each model, and a role has room for so many names.

What does not fit a role's own policy (10,240 characters) the CDK writes into managed policies (6,144 each), and AWS
attaches 10 to a role unless its quota is raised.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

import json
import tempfile
from pathlib import Path

import aws_cdk as cdk

from benchmarks.record import ROOT, Row, publish
from benchmarks.scale.deployments import deployment
from contracts.names import router_stack
from images.staging import Staging, router_contents
from stacks.image_source import BuildContext
from stacks.limits.throttle import bearable
from stacks.router import RouterStack

COUNTS = (1, 100, 200, 500, 1_000)
ATTACHED = 10


def row(count: int, folder: Path) -> Row:
    """Return the resources of the router's stack, and the managed policies of the role that has most."""
    of = deployment(count)
    name = router_stack(of.name)
    staging = Staging(folder=folder / "staging")
    context = json.loads((ROOT / "cdk.json").read_text("utf-8"))["context"]
    app = cdk.App(outdir=str(folder / "cdk.out"), context=context)
    RouterStack(
        app,
        name,
        deployment=of,
        throttle=bearable(of.concurrency, 1.0),
        image=BuildContext(folder=staging.image(router_contents(name, "{}"))),
        prober=staging.prober(f"{name}-prober"),
        env=cdk.Environment(account="123456789012", region=of.region),
    )
    app.synth()
    template = json.loads((folder / "cdk.out" / f"{name}.template.json").read_text("utf-8"))
    roles = [
        json.dumps(one["Properties"]["Roles"])
        for one in template["Resources"].values()
        if one["Type"] == "AWS::IAM::ManagedPolicy"
    ]
    most = max((roles.count(role) for role in set(roles)), default=0)
    return {
        "models": count,
        "resources of the router's stack": len(template["Resources"]),
        "managed policies of its role": most,
        "within AWS's default of 10": "yes" if most <= ATTACHED else "no",
    }


def main() -> None:
    rows: list[Row] = []
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(row(count, Path(folder)))
    publish("scale_roles", rows, command="benchmarks.scale.roles")


if __name__ == "__main__":
    main()
