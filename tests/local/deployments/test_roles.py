"""IAM is enough and no more: what an end-to-end run does is allowed to the roles that do it, and nothing else is."""

import json
import os
import random
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest

from contracts.names import ALIAS
from local.permissions.access import ASSUME, DEPLOYER, identity_policies, trust_policy
from local.permissions.policies import Call, Decision, decide, listed
from local.permissions.services import WRITE
from tests.conftest import PROVE, SEED
from tests.fixtures.local_cloud_client import LocalCloudClient
from tests.fixtures.synthesis import shop
from tests.local.deployments.in_process import Assembly, InProcess, StackFailed
from tests.local.deployments.shop import LAMBDA_ARN, Shop

Json = dict[str, Any]
# Grants of the stacks that no call of the run needs, by their actions, with the reason why they are there.
EXPLAINED: Mapping[str, str] = {
    # https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createmodel-perms
    "cloudwatch:PutMetricData": "SageMaker writes the metrics of containers, which the local cloud has not",
    "logs:DescribeLogStreams": "SageMaker looks for the streams of containers' logs, which the local cloud knows",
}
# Of all mutations that are deployed, those that each run tries; the others are only evaluated.
TRIED = 2
# Stacks that the prober is asked about.
RELEASED = ("shop-intents-cpu", "shop-words-cpu")


@pytest.fixture(scope="module")
def served(local_cloud: LocalCloudClient) -> Shop:
    """Deploy everything and use all of it once."""
    cdk = InProcess(client=local_cloud)
    cdk.bootstrap()
    made = Shop(client=local_cloud, cdk=cdk, assembly=Assembly.read(shop().folder))
    cdk.deploy(made.assembly)
    assert made.exercise("shop-words-cpu") == []
    return made


def test_every_call_of_the_run_is_made_by_a_role_that_may_make_it(served: Shop) -> None:
    assert [one for one in served.made if not one.allowed] == []
    callers = {one.caller for one in served.made}
    services = {"lambda", "sagemaker", "apigateway", "events"}
    # A stack that is made again has another role.
    assert callers >= set(served.roles())
    others = {caller for caller in callers if ":role/shop-" not in caller}
    assert others == {DEPLOYER, *(f"{name}.amazonaws.com" for name in services)}
    router = {one.action for one in served.made if ":role/shop-router-RouterRole" in one.caller}
    assert router == {
        "dynamodb:BatchGetItem",
        "dynamodb:UpdateItem",
        "lambda:InvokeFunction",
        "sagemaker:InvokeEndpoint",
        "ssm:GetParameters",
        *WRITE,
    }


def pairs(statement: Json) -> list[Json]:
    """Return a statement as one for each of its actions on each of its resources."""
    both = product(listed(statement["Action"]), listed(statement["Resource"]))
    return [{**statement, "Action": action, "Resource": resource} for action, resource in both]


def without_one(statements: list[Json]) -> Iterator[tuple[Json, list[Json]]]:
    """Yield each action on each resource, with the statements that are left without it."""
    split = [pair for statement in statements for pair in pairs(statement)]
    for place, gone in enumerate(split):
        yield gone, [*split[:place], *split[place + 1 :]]


def test_without_any_single_action_on_any_single_resource_a_call_would_be_refused(
    served: Shop,
) -> None:
    unused, tried = [], 0
    for role in served.roles():
        statements = [s for d in identity_policies(role) for s in listed(d["Statement"])]
        calls = [
            Call(principal=role, action=one.action, resource=one.resource)
            for one in served.made
            if one.caller == role
        ]
        for gone, left in without_one(statements):
            tried += 1
            refused = [
                call
                for call in calls
                if decide([{"Statement": left}], call) is not Decision.ALLOWED
            ]
            if not refused and gone["Action"] not in EXPLAINED:
                unused.append((role, gone["Action"], gone["Resource"]))
    assert unused == []
    assert tried >= 20


def test_every_explanation_is_of_a_grant_that_is_there_and_that_nothing_uses(served: Shop) -> None:
    granted = {
        action
        for role in served.roles()
        for document in identity_policies(role)
        for statement in listed(document["Statement"])
        for action in listed(statement["Action"])
    }
    assert EXPLAINED.keys() <= granted
    assert EXPLAINED.keys().isdisjoint({one.action for one in served.made})


def test_whoever_is_trusted_with_a_role_or_a_function_uses_it(served: Shop) -> None:
    trusted = {
        (service, role)
        for role in served.roles()
        for statement in listed(trust_policy(role)["Statement"])
        for service in listed(statement["Principal"]["Service"])
    }
    assumed = {(one.caller, one.resource) for one in served.made if one.action == ASSUME}
    assert trusted <= assumed
    policies = served.client.cloud.access.function_policies
    permitted = {
        (service, function)
        for function, statements in policies.items()
        for statement in statements.values()
        for service in listed(statement["Principal"]["Service"])
    }
    invoked = {(one.caller, one.resource) for one in served.made if one.action != ASSUME}
    assert permitted == {
        ("apigateway.amazonaws.com", f"{LAMBDA_ARN}shop-router:{ALIAS}"),
        ("events.amazonaws.com", f"{LAMBDA_ARN}shop-observer"),
    }
    assert permitted <= invoked


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """A stack without one grant: the template that is left, and the action that is refused then."""

    stack: str
    action: str
    about: str
    template: str


def mutations(assembly: Assembly) -> Iterator[Mutation]:
    """Yield every stack without each of its grants, trusts and permissions."""
    for stack in assembly.in_order():
        template: Json = json.loads(assembly.template(stack))
        for name, resource in template["Resources"].items():
            for action, about, changed in changes(resource):
                if action in EXPLAINED:
                    continue
                # Lambda looks at a role when a function is created, and the router's stays.
                if action == ASSUME and stack == "shop-router":
                    continue
                mutant = deepcopy(template)
                mutant["Resources"][name] = changed
                text = json.dumps(mutant)
                yield Mutation(stack=stack, action=action, about=f"{name}: {about}", template=text)


def changes(resource: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield an action, its resource, and a resource of a template that does not grant it any more."""
    properties = resource.get("Properties", {})
    if resource["Type"] == "AWS::IAM::Policy":
        document = properties["PolicyDocument"]
        for gone, left in without_one(document["Statement"]):
            changed = {**properties, "PolicyDocument": {**document, "Statement": left}}
            about = json.dumps(gone["Resource"])
            yield gone["Action"], about, {**resource, "Properties": changed}
    elif resource["Type"] == "AWS::IAM::Role":
        document = deepcopy(properties["AssumeRolePolicyDocument"])
        document["Statement"][0]["Principal"] = {"Service": "ec2.amazonaws.com"}
        changed = {**properties, "AssumeRolePolicyDocument": document}
        yield ASSUME, "trust", {**resource, "Properties": changed}
    elif resource["Type"] == "AWS::Lambda::Permission":
        changed = {**properties, "Principal": "ec2.amazonaws.com"}
        yield "lambda:InvokeFunction", "permission", {**resource, "Properties": changed}


def test_a_stack_without_a_grant_fails_where_the_grant_is_needed(served: Shop) -> None:
    """The refusal names the action; a lost log is reported, everything else is missed by somebody."""
    every = list(mutations(served.assembly))
    assert len(every) >= 24
    chosen = random.Random(f"{os.environ[SEED]} roles").sample(every, TRIED)
    for mutation in every if os.environ.get(PROVE) else chosen:
        before, access = served.made, served.client.cloud.access
        problems = tried(served, mutation)
        refused = {one.action for one in access.made if not one.allowed} - {
            one.action for one in before if not one.allowed
        }
        assert refused == {mutation.action}, (mutation.stack, mutation.about, problems)
        assert mutation.action in WRITE or problems, (mutation.stack, mutation.about)
        # The next mutation is compared with a record that has no refusals.
        for one in [one for one in access.made if not one.allowed]:
            del access.made[one]


def tried(served: Shop, mutation: Mutation) -> list[str]:
    """Deploy a mutation in place of its stack, use everything, take it back; return what went wrong."""
    cdk, stack = served.cdk, mutation.stack
    problems = []
    try:
        # The others are made again: a role is needed where its function or container starts.
        if stack != "shop-router":
            cdk.destroy(stack)
        cdk.deploy_stack(served.assembly, stack, mutation.template)
    except StackFailed as error:
        problems.append(str(error))
    for name in ("shop-router", "shop-prober", "shop-observer"):
        # A log is opened where an environment starts.
        served.client.cloud.functions.forget(f"{LAMBDA_ARN}{name}")
    problems += served.exercise(*(RELEASED if "Prober" in mutation.about else ()))
    for changed in (stack, *RELEASED):
        cdk.deploy_stack(served.assembly, changed)
    return problems
