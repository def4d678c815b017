"""The resource types of custom domains, over moto's APIs, and what moto's lack of them."""

import hashlib
from typing import Any

from moto.acm.models import acm_backends
from moto.apigateway.exceptions import BadRequestException as BadRestRequest
from moto.apigateway.models import APIGatewayBackend, apigateway_backends
from moto.apigatewayv2.exceptions import BadRequestException
from moto.apigatewayv2.models import ApiGatewayV2Backend, ApiMapping, apigatewayv2_backends
from moto.apigatewayv2.responses import ApiGatewayV2Response

from local.control.resource_type import Made, Properties, Type, call

# API Gateway's own in us-east-1, which an alias record names.
# https://docs.aws.amazon.com/general/latest/gr/apigateway.html
GATEWAY_ZONE = "Z1UJRXOUMOOFQ8"
# A key that no service takes, for what CloudFormation does by itself.
ZONES = "ZonesOfValidation"


def extend() -> None:
    """Let a mapping lead to a REST API, and a name have another certificate."""
    create = ApiGatewayV2Backend.create_api_mapping

    def create_mapping(
        self: Any, api_id: str, api_mapping_key: str, domain_name: str, stage: str
    ) -> Any:
        if api_id not in apigateway_backends[self.account_id][self.region_name].apis:
            return create(self, api_id, api_mapping_key, domain_name, stage)
        self.get_domain_name(domain_name)
        made = ApiMapping(
            api_id=api_id,
            api_mapping_key=api_mapping_key,
            api_mapping_id=self._generate_api_maping_id(api_mapping_key, stage, domain_name),
            domain_name=domain_name,
            stage=stage,
        )
        self.api_mappings[made.api_mapping_id] = made
        return made

    def update_name(self: Any) -> tuple[int, dict[str, str], str]:
        name = self.apigatewayv2_backend.get_domain_name(self.path.split("/")[-1])
        name.domain_name_configurations = self._get_param("domainNameConfigurations")
        found: tuple[int, dict[str, str], str] = self.get_domain_name()
        return found

    ApiGatewayV2Backend.create_api_mapping = create_mapping
    ApiGatewayV2Response.update_domain_name = update_name


def keep_mapped() -> None:
    """Refuse to delete an API that a name is mapped to, in API Gateway's words.

    https://github.com/gruntwork-io/cloud-nuke/issues/370
    https://github.com/amplify-education/serverless-domain-manager/issues/406
    """
    delete, delete_rest = ApiGatewayV2Backend.delete_api, APIGatewayBackend.delete_rest_api

    def delete_api(self: Any, api_id: str) -> None:
        if _is_mapped(self, api_id):
            raise BadRequestException(
                f"Deleting API {api_id} failed. Please remove all API mappings for the API from your custom domain "
                "names."
            )
        delete(self, api_id)

    def delete_rest_api(self: Any, function_id: str) -> Any:
        if _is_mapped(self, function_id):
            raise BadRestRequest(
                f"Deleting RestApi {function_id} failed. Please remove all base path mappings related to the RestApi "
                "in your domains."
            )
        return delete_rest(self, function_id)

    ApiGatewayV2Backend.delete_api = delete_api
    APIGatewayBackend.delete_rest_api = delete_rest_api


def _is_mapped(backend: Any, api: str) -> bool:
    names = apigatewayv2_backends[backend.account_id][backend.region_name]
    return any(one.api_id == api for one in names.api_mappings.values())


def _regional(made: Made) -> str:
    """Return the name that a record leads to; AWS gives out one by chance."""
    label = hashlib.sha256(made.properties["DomainName"].encode()).hexdigest()[:10]
    return f"d-{label}.execute-api.{made.region}.amazonaws.com"


def _check_certificate(made: Made) -> None:
    """Raise ValueError unless each certificate is issued and covers the name, as API Gateway wants of it."""
    name = made.properties["DomainName"]
    for one in made.properties["DomainNameConfigurations"]:
        arn = {"CertificateArn": one["CertificateArn"]}
        found = call("acm", "describe_certificate", made.region, arn)["Certificate"]
        covered = {found["DomainName"], *found.get("SubjectAlternativeNames", ())}
        if found["Status"] != "ISSUED" or not {name, f"*.{name.partition('.')[2]}"} & covered:
            raise ValueError(f"the certificate {arn['CertificateArn']} is not one of {name}")


def _named_zones(properties: Properties) -> Properties:
    """Keep the zones of validation from the call, which has no such member."""
    options = properties.get("DomainValidationOptions", [])
    rest = {key: value for key, value in properties.items() if key != "DomainValidationOptions"}
    return {**rest, ZONES: [one["HostedZoneId"] for one in options if "HostedZoneId" in one]}


def _validate(made: Made) -> None:
    """Write the record of a validation into each zone, as CloudFormation does, and find the certificate issued.

    The record stays when the certificate is deleted, as on AWS.
    """
    record = {
        "Name": f"_validation.{made.properties['DomainName']}.",
        "Type": "CNAME",
        "TTL": 300,
        "ResourceRecords": [{"Value": "_value.acm-validations.aws."}],
    }
    for zone in made.properties[ZONES]:
        _change(made, zone, "UPSERT", record)
    certificates = acm_backends[made.account][made.region]
    certificates.get_certificate(made.response["CertificateArn"]).status = "ISSUED"


def _change(made: Made, zone: str, action: str, record: Properties) -> None:
    call("route53", "change_resource_record_sets", made.region, _batch(zone, action, record))


def _batch(zone: str, action: str, record: Properties) -> Properties:
    change = {"Action": action, "ResourceRecordSet": record}
    return {"HostedZoneId": zone, "ChangeBatch": {"Changes": [change]}}


def _created(properties: Properties) -> Properties:
    """Return the change that creates a record of a template."""
    record = {key: value for key, value in properties.items() if key != "HostedZoneId"}
    return _batch(properties["HostedZoneId"], "CREATE", record)


def _record(made: Made) -> Properties:
    found: Properties = made.properties["ChangeBatch"]["Changes"][0]["ResourceRecordSet"]
    return found


DOMAIN_TYPES: tuple[Type, ...] = (
    Type(
        name="AWS::ApiGatewayV2::DomainName",
        service="apigatewayv2",
        create="create_domain_name",
        update="update_domain_name",
        delete="delete_domain_name",
        ref=lambda made: made.properties["DomainName"],
        key=lambda made: {"DomainName": made.properties["DomainName"]},
        attributes={
            "RegionalDomainName": _regional,
            "RegionalHostedZoneId": lambda made: GATEWAY_ZONE,
        },
        after=_check_certificate,
    ),
    Type(
        name="AWS::ApiGatewayV2::ApiMapping",
        service="apigatewayv2",
        create="create_api_mapping",
        delete="delete_api_mapping",
        ref=lambda made: made.response["ApiMappingId"],
        key=lambda made: {
            "DomainName": made.properties["DomainName"],
            "ApiMappingId": made.response["ApiMappingId"],
        },
        prepare=lambda properties: {"ApiMappingKey": "", **properties},
    ),
    Type(
        name="AWS::CertificateManager::Certificate",
        service="acm",
        create="request_certificate",
        delete="delete_certificate",
        ref=lambda made: made.response["CertificateArn"],
        key=lambda made: {"CertificateArn": made.response["CertificateArn"]},
        prepare=_named_zones,
        after=_validate,
    ),
    Type(
        name="AWS::Route53::RecordSet",
        service="route53",
        create="change_resource_record_sets",
        delete="change_resource_record_sets",
        ref=lambda made: _record(made)["Name"].rstrip("."),
        key=lambda made: _batch(made.properties["HostedZoneId"], "DELETE", _record(made)),
        prepare=_created,
    ),
)
