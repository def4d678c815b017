"""Rules for weights that lie in S3: their bucket, and the containers that are given them."""

from collections.abc import Iterator

from stacks.rules.document import Document, Json, as_list, number, text
from stacks.rules.endpoints import COMPONENT
from stacks.rules.finding import Finding
from stacks.rules.images import MODEL
from stacks.rules.roles import ROLE, statements_of

BUCKET, MARKER = "AWS::S3::Bucket", "Custom::TurnoutWeights"
PARALLEL = "SM_VLLM_TENSOR_PARALLEL_SIZE"


def _sources(stack: Document) -> Iterator[tuple[str, Json, Json]]:
    """Yield each model of weights in S3, with where they lie."""
    for name, model in stack.of(MODEL).items():
        source = model.get("PrimaryContainer", {}).get("ModelDataSource", {}).get("S3DataSource")
        if source:
            yield name, model, source


def uploads_end(stack: Document) -> Iterator[Finding]:
    """Require that uploads which were cut off are ended: their parts are paid for, and no listing shows them."""
    for name, bucket in stack.of(BUCKET).items():
        rules = bucket.get("LifecycleConfiguration", {}).get("Rules", [])
        if not any("AbortIncompleteMultipartUpload" in rule for rule in rules):
            message = "no lifecycle rule ends incomplete uploads; add one"
            yield Finding(resource=name, place="LifecycleConfiguration", message=message)


def weights_as_files(stack: Document) -> Iterator[Finding]:
    """Require a prefix of plain files that ends with a slash: SageMaker finds no model data under anything else."""
    for name, _, source in _sources(stack):
        kind, packed = source.get("S3DataType"), source.get("CompressionType")
        if (kind, packed) != ("S3Prefix", "None") or not text(source.get("S3Uri")).endswith("/"):
            message = "no prefix of plain files; name an S3Prefix without compression that ends with a slash"
            yield Finding(resource=name, place="PrimaryContainer", message=message)


def weights_awaited(stack: Document) -> Iterator[Finding]:
    """Require that a model waits for its weights' marker: an instance else runs before it is known that they lack."""
    for name, _, _ in _sources(stack):
        waits = {*as_list(stack.all[name].get("DependsOn", []))}
        if not any(stack.all.get(one, {}).get("Type") == MARKER for one in waits):
            message = f"it waits for no {MARKER}; add a dependency on it"
            yield Finding(resource=name, place="DependsOn", message=message)


def weights_readable(stack: Document) -> Iterator[Finding]:
    """Require that a model's role may list and read its weights, and nothing beside them.

    https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createmodel-perms
    """
    for name, model, source in _sources(stack):
        role = stack.named(model.get("ExecutionRoleArn"), ROLE)
        place = text(source.get("S3Uri")).removeprefix("s3://")
        bucket, _, prefix = place.partition("/")
        wanted = {"s3:GetObject": f":s3:::{bucket}/{prefix}*", "s3:ListBucket": f":s3:::{bucket}"}
        for action, end in wanted.items():
            found = [
                text(resource)
                for one in statements_of(stack, role or "")
                if action in as_list(one["Action"])
                for resource in as_list(one["Resource"])
            ]
            if len(found) != 1 or not found[0].endswith(end):
                message = f"its role may not do {action} with {end.removeprefix(':s3:::')}, and that alone; allow it"
                yield Finding(resource=name, place="ExecutionRoleArn", message=message)


def accelerators_of_vllm(stack: Document) -> Iterator[Finding]:
    """Require as many accelerators of a component as vLLM splits its model over: it ends at its start otherwise."""
    for name, model in stack.of(MODEL).items():
        split = model.get("PrimaryContainer", {}).get("Environment", {}).get(PARALLEL)
        for component in stack.of(COMPONENT).values():
            required = component["Specification"].get("ComputeResourceRequirements", {})
            given = required.get("NumberOfAcceleratorDevicesRequired", 0)
            if split is not None and number(split) != number(given):
                message = f"{PARALLEL} is {split}, and the component requires {given} accelerators; make them equal"
                yield Finding(resource=name, place="PrimaryContainer", message=message)
