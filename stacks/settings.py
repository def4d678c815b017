"""Settings that AWS would refuse at deployment, checked without the CDK."""

from contracts.problems import Code, Problem
from contracts.specs import Deployment
from contracts.tasks import Server, Task
from stacks.images import regions
from stacks.instances import UnknownInstance, all_instances, find_instance


def aws_problems(deployment: Deployment) -> list[Problem]:
    """Return the problems of settings that AWS would refuse at deployment: a region, an instance type."""
    problems = []
    if deployment.region not in regions():
        message = (
            f"{deployment.region} is not one that the image table covers: {', '.join(regions())}"
        )
        problems.append(
            Problem(code=Code.SETTING_INVALID, where="deployment.region", message=message)
        )
    for model in deployment.models:
        if model.gpu:
            # Our own server uses one GPU; whether it serves is known once a model is built or pushed.
            pushable = model.task is Task.TEXT_GENERATION and model.gpu.server is not Server.TURNOUT
            try:
                find_instance(model.gpu.instance, all_instances() if pushable else None)
            except UnknownInstance as error:
                where = f"models.{model.name}.gpu.instance"
                problems.append(
                    Problem(code=Code.INSTANCE_UNKNOWN, where=where, message=str(error))
                )
    return problems
