"""A resource type as a value: service calls, reference, attributes."""

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.core.common_models import CloudFormationModel

from local.control.data_plane import data_plane

Properties = dict[str, Any]
# Each service words it differently: SageMaker has a ValidationException "Could not find ...", API Gateway a
# NotFoundException "Invalid API identifier specified ...".
NOT_FOUND = ("notfound", "not found", "could not find", "invalid api identifier", "does not exist")


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A created resource: its properties, the service's response, its logical place."""

    properties: Properties
    response: Mapping[str, Any]
    name: str
    account: str
    region: str


Read = Callable[[Made], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Type:
    """One CloudFormation type over one service's API.

    `create`, `update` and `delete` are names of boto3 operations. Without `update`, a change is a replacement.
    `key` returns the arguments of `update` and `delete` that name the resource.
    """

    name: str
    service: str
    create: str
    ref: Read
    key: Callable[[Made], Properties]
    delete: str
    update: str | None = None
    attributes: Mapping[str, Read] = field(default_factory=dict)
    name_property: str = ""
    prepare: Callable[[Properties], Properties] = lambda properties: properties
    after: Callable[[Made], None] = lambda made: None
    # The resource as it is, and its part of the new template.
    before_update: Callable[[Made, Any], None] = lambda made, template: None
    before_delete: Callable[[Made], None] = lambda made: None


# botocore reads a service's model from its files, so a client takes from 25 to 500 ms to make.
@functools.cache
def client(service: str, region: str, endpoint_url: str) -> Any:
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=endpoint_url,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=120),
    )


def call(service: str, operation: str, region: str, properties: Properties) -> dict[str, Any]:
    """Call moto's API with CloudFormation properties, converted to the service's shape."""
    api = client(service, region, data_plane().endpoint_url)
    model = api.meta.service_model.operation_model(api.meta.method_to_api_mapping[operation])
    answer: dict[str, Any] = getattr(api, operation)(**shaped(model.input_shape, properties))
    return answer


def _structure(shape: Any, value: Any) -> Any:
    members = {name.lower(): (name, member) for name, member in shape.members.items()}
    # Some services spell members in camel case, CloudFormation never does.
    return {
        members[key.lower()][0]: shaped(members[key.lower()][1], item)
        for key, item in value.items()
        if key.lower() in members
    }


def _map(shape: Any, value: Any) -> Any:
    # CloudFormation has tags as a list where some services take a map.
    pairs = {x["Key"]: x["Value"] for x in value} if isinstance(value, list) else value
    return {key: shaped(shape.value, item) for key, item in pairs.items()}


def _list(shape: Any, value: Any) -> Any:
    return [shaped(shape.member, item) for item in (value if isinstance(value, list) else [value])]


def _boolean(shape: Any, value: Any) -> bool:
    return value if isinstance(value, bool) else str(value).lower() == "true"


def _string(shape: Any, value: Any) -> str:
    # A policy is an object in a template and a text in the API.
    return value if isinstance(value, str) else json.dumps(value)


SHAPES: dict[str, Callable[[Any, Any], Any]] = {
    "structure": _structure,
    "map": _map,
    "list": _list,
    "boolean": _boolean,
    "string": _string,
    "integer": lambda shape, value: int(value),
    "long": lambda shape, value: int(value),
    "float": lambda shape, value: float(value),
    "double": lambda shape, value: float(value),
}


def shaped(shape: Any, value: Any) -> Any:
    """Convert a CloudFormation value to the service's shape: names match without case, unknown members are dropped."""
    convert = SHAPES.get(shape.type_name)
    return convert(shape, value) if convert else value


class Resource:
    """A resource in moto's CloudFormation; each type is a subclass."""

    kind: ClassVar[Type]

    def __init__(self, made: Made) -> None:
        self.made = made
        self.physical_resource_id = self.kind.ref(made)

    @classmethod
    def cloudformation_name_type(cls) -> str:
        return cls.kind.name_property

    @classmethod
    def cloudformation_type(cls) -> str:
        return cls.kind.name

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr in cls.kind.attributes

    def get_cfn_attribute(self, attribute_name: str) -> Any:
        return self.kind.attributes[attribute_name](self.made)

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
        **_: Any,
    ) -> Self:
        kind = cls.kind
        prepared = _prepared(kind, cloudformation_json, resource_name)
        response = call(kind.service, kind.create, region_name, prepared)
        try:
            return cls._made(prepared, response, resource_name, account_id, region_name)
        except Exception:
            # A rollback deletes what was created and did not become stable, whatever the reason was.
            made = Made(
                properties=prepared,
                response=response,
                name=resource_name,
                account=account_id,
                region=region_name,
            )
            call(kind.service, kind.delete, region_name, kind.key(made))
            raise

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: "Resource",
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> Self:
        kind, old = cls.kind, original_resource.made
        # CloudFormation makes the replacement first. Here the old resource goes first, because both have the same name.
        if kind.update is None:
            original_resource.delete(account_id, region_name)
            return cls.create_from_cloudformation_json(
                old.name, cloudformation_json, account_id, region_name
            )
        prepared = _prepared(kind, cloudformation_json, old.name)
        kind.before_update(old, cloudformation_json)
        call(kind.service, kind.update, region_name, {**prepared, **kind.key(old)})
        return cls._made(prepared, old.response, old.name, account_id, region_name)

    @classmethod
    def _made(
        cls, prepared: Properties, response: Mapping[str, Any], name: str, account: str, region: str
    ) -> Self:
        made = Made(
            properties=prepared, response=response, name=name, account=account, region=region
        )
        cls.kind.after(made)
        return cls(made)

    def delete(self, account_id: str, region_name: str) -> None:
        kind = self.kind
        kind.before_delete(self.made)
        try:
            call(kind.service, kind.delete, region_name, kind.key(self.made))
        except ClientError as error:
            # Deleting a parent deletes its children too, such as the routes of an API.
            if not any(word in str(error).lower() for word in NOT_FOUND):
                raise


def class_of(kind: Type) -> type[Resource]:
    """Return the class of one resource type."""
    return type(kind.name.replace("::", ""), (Resource, CloudFormationModel), {"kind": kind})


def _prepared(kind: Type, template: Any, name: str) -> Properties:
    """Return the properties of the service call, with a name if the type has one."""
    properties = dict(template.get("Properties") or {})
    if kind.name_property and not properties.get(kind.name_property):
        properties[kind.name_property] = name
    return kind.prepare(properties)
