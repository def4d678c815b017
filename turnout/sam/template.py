"""The template that SAM reads: the functions of a deployment as images, and its API.

https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-function.html
"""

from typing import Any

from contracts.limits import ROUTER_MEMORY_MB, ROUTER_TIMEOUT_S
from contracts.names import model_stack, router_stack
from contracts.specs import CpuSpec, Deployment
from contracts.tasks import Tier

# A bare name: SAM takes one with a registry for an image that is not on this machine.
TAG = "sam"
# The logical id of the API; ids of functions begin as names do, with a small letter.
API = "Api"
# Where a function reaches AWS. SAM sets only variables that a template declares, by the file that has their values, and
# by the shell's where that file has none: the shell's is SAM's own, by which a container would reach itself.
ENDPOINT = "AWS_ENDPOINT_URL"


def image_tag(name: str) -> str:
    """Return the tag of a function's image for SAM, which builds its own `NAME:rapid-x86_64` upon it."""
    return f"{name}:{TAG}"


def logical_id(name: str) -> str:
    """Return a name as CloudFormation takes it, letters and digits alone; another one for each name."""
    # Names have no capitals.
    return name.replace("-", "X")


def template(deployment: Deployment) -> dict[str, Any]:
    """Return the template.

    Its API has one route for everything, as the deployed one, so that the router answers unknown paths.
    """
    router = _function(
        router_stack(deployment.name),
        memory_mb=ROUTER_MEMORY_MB,
        timeout_s=ROUTER_TIMEOUT_S,
        variables={ENDPOINT: ""},
    )
    # Without a path it is the API's default route.
    router["Properties"]["Events"] = {
        "Api": {"Type": "HttpApi", "Properties": {"ApiId": {"Ref": API}}}
    }
    resources = {API: _api(deployment.name), logical_id(router_stack(deployment.name)): router}
    for model in deployment.models:
        if model.cpu:
            name = model_stack(deployment.name, model.name, Tier.CPU)
            resources[logical_id(name)] = _model(name, model.cpu)
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Transform": "AWS::Serverless-2016-10-31",
        "Description": f"{deployment.name}, for SAM on this machine; AWS gets its stacks from the CDK",
        "Resources": resources,
    }


def _api(title: str) -> dict[str, Any]:
    """Return the API. SAM passes bodies on as UTF-8 alone, and fails at others, unless all are declared as binary."""
    definition = {
        "openapi": "3.0.1",
        "info": {"title": title, "version": "1"},
        "paths": {},
        "x-amazon-apigateway-binary-media-types": ["*/*"],
    }
    return {"Type": "AWS::Serverless::HttpApi", "Properties": {"DefinitionBody": definition}}


def _model(name: str, spec: CpuSpec) -> dict[str, Any]:
    variables = {"TURNOUT_MAX_INPUTS": str(spec.max_inputs), ENDPOINT: ""}
    return _function(name, memory_mb=spec.memory_mb, timeout_s=spec.timeout_s, variables=variables)


def _function(
    name: str, *, memory_mb: int, timeout_s: int, variables: dict[str, str]
) -> dict[str, Any]:
    return {
        "Type": "AWS::Serverless::Function",
        "Properties": {
            "FunctionName": name,
            "PackageType": "Image",
            "ImageUri": image_tag(name),
            "Architectures": ["x86_64"],
            "MemorySize": memory_mb,
            "Timeout": timeout_s,
            "Environment": {"Variables": variables},
        },
    }
