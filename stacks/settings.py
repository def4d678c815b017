"""Settings that AWS would refuse at deployment, checked without the CDK."""

from contracts.problems import Code, Problem
from contracts.specs import Deployment
from stacks.images import regions
from stacks.instances import UnknownInstance, find_instance


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
            try:
                find_instance(model.gpu.instance)
            except UnknownInstance as error:
                where = f"models.{model.name}.gpu.instance"
                problems.append(
                    Problem(code=Code.INSTANCE_UNKNOWN, where=where, message=str(error))
                )
    return problems
