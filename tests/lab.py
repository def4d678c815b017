"""A running local cloud for tests, with what they deploy into it."""

import io
import json
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import boto3
from botocore.config import Config

from local.cloud import Cloud
from turnout.laptop import ROOT

LOCK = ROOT / "functions/registrar/requirements.txt"

# One file of handlers, each with one bad habit.
HANDLERS = """
import json, os, sys, threading, time
started = time.time()
calls = 0

def echo(event, context):
    global calls
    calls += 1
    return {"event": event, "pid": os.getpid(), "calls": calls, "request": context.aws_request_id}

def api(event, context):
    body = json.dumps(event)
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": body, "cookies": ["a=1", "b=2"]}

def slow(event, context):
    time.sleep(event["seconds"])
    return "done"

def crash(event, context):
    os._exit(3)

def greedy(event, context):
    held = [bytearray(8 * 2**20) for _ in range(event["mb"] // 8)]
    for block in held:
        block[::4096] = b"x" * len(block[::4096])
    time.sleep(1)
    return len(held)

def large(event, context):
    return "x" * event["size"]

def fails(event, context):
    raise ValueError("what went wrong")

def environment(event, context):
    return dict(os.environ)

def imports(event, context):
    import importlib.util
    return {name: importlib.util.find_spec(name) is not None for name in event}

def custom(event, context):
    import urllib.request
    wanted = event["ResourceProperties"]
    kind = event["RequestType"]
    failed = wanted.get("Fail") == kind
    answer = {
        "Status": "FAILED" if failed else "SUCCESS",
        "Reason": "as asked",
        "PhysicalResourceId": wanted.get("Id", "one"),
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "Data": {"Said": f"{kind} {wanted.get('Word', '')}", "Flag": wanted.get("Flag")},
    }
    print("CUSTOM", kind, event.get("PhysicalResourceId", ""), flush=True)
    if wanted.get("Fail") == "Silence":
        return
    request = urllib.request.Request(event["ResponseURL"], json.dumps(answer).encode(), method="PUT")
    urllib.request.urlopen(request)
"""


def zipped(code: str = HANDLERS) -> bytes:
    """A function's code as Lambda takes it: one module, and the lock of what it needs."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("handlers.py", code)
        archive.writestr("requirements.txt", LOCK.read_text("utf-8"))
    return file.getvalue()


@dataclass(slots=True)
class Lab:
    """Clients of one cloud, and the verbs that tests are made of."""

    cloud: Cloud
    made: dict[str, Any] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count)

    def client(self, service: str) -> Any:
        if service not in self.made:
            self.made[service] = boto3.client(
                service,
                endpoint_url=self.cloud.endpoint_url,
                region_name=self.cloud.region,
                aws_access_key_id="local",
                aws_secret_access_key="local",
                config=Config(
                    retries={"total_max_attempts": 1}, read_timeout=60, max_pool_connections=20
                ),
            )
        return self.made[service]

    def role(self) -> str:
        if "role" not in self.made:
            allow = {"Effect": "Allow", "Action": "sts:AssumeRole"}
            statement = {**allow, "Principal": {"Service": "lambda.amazonaws.com"}}
            trust = {"Version": "2012-10-17", "Statement": [statement]}
            made = self.client("iam").create_role(
                RoleName="lab", AssumeRolePolicyDocument=json.dumps(trust)
            )
            self.made["role"] = made["Role"]["Arn"]
        return str(self.made["role"])

    def function(
        self,
        name: str,
        handler: str,
        *,
        memory_mb: int = 256,
        timeout_s: int = 5,
        code: str = HANDLERS,
        **variables: str,
    ) -> str:
        """Make a function; gives its name back."""
        self.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=self.role(),
            Handler=f"handlers.{handler}",
            Code={"ZipFile": zipped(code)},
            MemorySize=memory_mb,
            Timeout=timeout_s,
            Environment={"Variables": variables},
        )
        return name

    def invoke(self, name: str, event: Any = None) -> tuple[Any, str | None]:
        """What a function answers, and what Lambda says of it when it failed."""
        reply = self.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event).encode())
        return json.loads(reply["Payload"].read()), reply.get("FunctionError")

    def deploy(self, stack: str, resources: dict[str, Any], **outputs: Any) -> str:
        """Bring a stack to those resources by a change set, as the CDK does; gives its last status."""
        api = self.client("cloudformation")
        template: dict[str, Any] = {"Resources": resources}
        if outputs:
            template["Outputs"] = {name: {"Value": value} for name, value in outputs.items()}
        kind = "UPDATE" if self.status(stack) else "CREATE"
        change = f"change-{next(self.numbers)}"
        api.create_change_set(
            StackName=stack,
            ChangeSetName=change,
            ChangeSetType=kind,
            TemplateBody=json.dumps(template),
        )
        api.execute_change_set(StackName=stack, ChangeSetName=change)
        return self.settled(stack)

    def delete(self, stack: str) -> str:
        identity = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0][
            "StackId"
        ]
        self.client("cloudformation").delete_stack(StackName=stack)
        return self.settled(identity)

    def status(self, stack: str) -> str:
        """The stack's status; empty when there is none."""
        api = self.client("cloudformation")
        try:
            found = api.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
        except api.exceptions.ClientError:
            return ""
        return str(found)

    def settled(self, stack: str) -> str:
        while (status := self.status(stack)).endswith("_IN_PROGRESS"):
            time.sleep(0.02)
        return status

    def outputs(self, stack: str) -> dict[str, str]:
        found = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", ())}

    def events(self, stack: str) -> list[tuple[str, str]]:
        """Logical id and status of every event, in their order."""
        found = self.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
        return [(event["LogicalResourceId"], event["ResourceStatus"]) for event in reversed(found)]

    def log(self, function: str) -> str:
        return (self.cloud.state / "logs" / f"{function}.log").read_text("utf-8")


def bucket(lab: Lab) -> str:
    """A bucket with the code in it, which templates name."""
    if "bucket" not in lab.made:
        lab.client("s3").create_bucket(Bucket="lab-code")
        lab.made["bucket"] = "lab-code"
    lab.client("s3").put_object(Bucket="lab-code", Key="handlers.zip", Body=zipped())
    return "lab-code"
