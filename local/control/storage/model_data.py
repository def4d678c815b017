"""Model data in S3, as SageMaker looks at it when a model is created: whether it is there, and whether its role may.

The sentences are SageMaker's own: https://github.com/aws-ia/ecs-blueprints/issues/223,
https://github.com/aws/sagemaker-python-sdk/issues/4248.
"""

from typing import Any

from moto.s3.exceptions import MissingBucket
from moto.s3.models import s3_backends
from moto.sagemaker import models

from local.control.data_plane import data_plane, is_used
from local.permissions.errors import AccessDenied
from local.permissions.operations import Needed
from local.permissions.services import SAGEMAKER


def extend() -> None:
    create = models.SageMakerModelBackend.create_model

    def checked(self: Any, **properties: Any) -> Any:
        container = properties.get("primary_container") or {}
        source = (container.get("ModelDataSource") or {}).get("S3DataSource")
        if source and is_used():
            role = properties["execution_role_arn"]
            check(source, role, self.account_id, self.region_name)
        return create(self, **properties)

    models.SageMakerModelBackend.create_model = checked


def check(source: dict[str, Any], role: str, account: str, region: str) -> None:
    """Raise SageMaker's error where a role finds no model data, or may not read it."""
    place = str(source["S3Uri"])
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    if source["S3DataType"] == "S3Prefix" and not place.endswith("/"):
        raise models.ValidationError(
            message=f"S3Uri {place} must end with a forward slash for the data type S3Prefix."
        )
    access = data_plane().access
    try:
        access.check_trust(role, SAGEMAKER, {"aws:SourceAccount": access.account})
        keys = _keys(bucket, prefix, account)
        needs = [
            Needed(action="s3:GetObject", resource=f"arn:aws:s3:::{bucket}/{key}") for key in keys
        ]
        problems = access.refusals(role, needs)
    except AccessDenied as error:
        problems = [str(error)]
    if problems:
        raise models.ValidationError(
            message=f'Could not access model data at {place}. Please ensure that the role "{role}" exists and that its '
            'trust relationship policy allows the action "sts:AssumeRole" for the service principal '
            f'"{SAGEMAKER}". Also ensure that the role has "s3:GetObject" permissions and that the object is located '
            f"in {region}. ({'; '.join(problems)})"
        )
    if not keys:
        raise models.ValidationError(message=f"Could not find model data at {place}.")


def _keys(bucket: str, prefix: str, account: str) -> list[str]:
    try:
        found = s3_backends[account]["aws"].get_bucket(bucket)
    except MissingBucket:
        return []
    return [key for key in found.keys if key.startswith(prefix)]
