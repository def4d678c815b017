"""The settings that have no effect in the local cloud; apart from moto, so that the docs are checked without it."""

# Settings that are recorded and have no effect here; docs/local-cloud.md lists them from this table.
INERT: dict[str, str] = {
    "IAM roles and policies": "recorded and never enforced: a missing permission shows on AWS alone",
    "S3 bucket policies": "recorded; statements with conditions are not evaluated",
    "Lambda architecture": "functions run on this machine's processor",
    "Lambda permissions": "recorded: the gateway may invoke every function",
    "Log retention": "recorded: logs are files that go with the local cloud",
    "Access logs of the API stage": "recorded: the router's own log has a line per request",
    "SageMaker instance types and counts": "recorded: a container runs once, on this machine, without a GPU",
    "SageMaker InferenceAmiVersion": "recorded: there is no driver here to match",
    "SageMaker memory and accelerator requirements": "recorded: containers are not limited",
    "Dockerfile RUN": "never executed: dependencies come from the image's lock; that an image builds is not shown",
}
