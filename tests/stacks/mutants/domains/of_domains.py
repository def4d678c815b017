"""Faults of a custom domain."""

from stacks.rules.document import Document, Json
from stacks.rules.gateway import CERTIFICATE, DOMAIN, MAPPING, RECORD
from tests.stacks.mutants.mutation import ROUTER, Mutation, first, model, ours

DOMAINS = (
    "https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-custom-domain-names.html"
)
MAPPINGS = "https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-mappings.html"
RECORDS = "https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/routing-to-api-gateway.html"
VALIDATION = "https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-certificatemanager-certificate.html"


def _configuration(stack: Document) -> Json:
    """Return the configuration of the domain's name, to be changed."""
    found: Json = first(stack, DOMAIN)["DomainNameConfigurations"][0]
    return found


def _mapping(stack: Document, base: str = "") -> Json:
    """Return the mapping of a base path, to be changed."""
    return next(one for one in stack.of(MAPPING).values() if one.get("ApiMappingKey", "") == base)


def tls_of_old(stack: Document) -> None:
    _configuration(stack)["SecurityPolicy"] = "TLS_1_0"


def domain_at_the_edge(stack: Document) -> None:
    _configuration(stack)["EndpointType"] = "EDGE"


def domain_of_no_type(stack: Document) -> None:
    _configuration(stack)["EndpointType"] = "GLOBAL"


def root_unmapped(stack: Document) -> None:
    _mapping(stack)["ApiMappingKey"] = "whole"


def two_apis_of_one_path(stack: Document) -> None:
    _mapping(stack)["ApiMappingKey"] = "stream"


def stream_unmapped(stack: Document) -> None:
    name = next(name for name, one in stack.of(MAPPING).items() if "ApiMappingKey" in one)
    del stack.all[name]


def stream_mapped_to_the_other_api(stack: Document) -> None:
    _mapping(stack, "stream")["ApiId"] = _mapping(stack)["ApiId"]


def certificate_of_no_zone(stack: Document) -> None:
    del first(stack, CERTIFICATE)["DomainValidationOptions"]


def certificate_by_mail(stack: Document) -> None:
    first(stack, CERTIFICATE)["ValidationMethod"] = "EMAIL"


def certificate_by_no_method(stack: Document) -> None:
    first(stack, CERTIFICATE)["ValidationMethod"] = "TXT"


def record_of_another_name(stack: Document) -> None:
    first(stack, RECORD)["Name"] = "www.example.org."


def record_to_elsewhere(stack: Document) -> None:
    first(stack, RECORD)["AliasTarget"]["DNSName"] = "d-1.execute-api.eu-central-1.amazonaws.com"


def record_of_no_type(stack: Document) -> None:
    first(stack, RECORD)["Type"] = "ALIAS"


MUTATIONS = (
    Mutation(
        spoil=tls_of_old,
        stack=ROUTER,
        account="the mapping of the HTTP API is refused",
        source=DOMAINS,
        caught_by=(ours("domain_tls"),),
    ),
    Mutation(
        spoil=domain_at_the_edge,
        stack=ROUTER,
        account="the mapping of the HTTP API is refused",
        source=DOMAINS,
        caught_by=(ours("domain_tls"),),
    ),
    Mutation(
        spoil=domain_of_no_type,
        stack=ROUTER,
        account="the name is refused when it is created",
        source=DOMAINS,
        caught_by=(ours("domain_tls"), model("enum")),
    ),
    Mutation(
        spoil=root_unmapped,
        stack=ROUTER,
        account="every path but those below it is answered by a bare 403",
        source=MAPPINGS,
        caught_by=(ours("domain_mapped"),),
    ),
    Mutation(
        spoil=two_apis_of_one_path,
        stack=ROUTER,
        account="the second mapping is refused",
        source=MAPPINGS,
        caught_by=(ours("domain_mapped"),),
    ),
    Mutation(
        spoil=stream_unmapped,
        stack=ROUTER,
        account="the URL that is shown for streams is answered by a 404",
        source=MAPPINGS,
        caught_by=(ours("domain_mapped"),),
    ),
    Mutation(
        spoil=stream_mapped_to_the_other_api,
        stack=ROUTER,
        account="the stage is not one of that API: the mapping is refused",
        source=MAPPINGS,
        caught_by=(ours("domain_mapped"),),
    ),
    Mutation(
        spoil=certificate_of_no_zone,
        stack=ROUTER,
        account="the stack waits for a record that nobody makes",
        source=VALIDATION,
        caught_by=(ours("domain_certificate"),),
    ),
    Mutation(
        spoil=certificate_by_mail,
        stack=ROUTER,
        account="the stack waits for somebody to answer a mail",
        source=VALIDATION,
        caught_by=(ours("domain_certificate"),),
    ),
    Mutation(
        spoil=certificate_by_no_method,
        stack=ROUTER,
        account="the certificate is refused when it is requested",
        source=VALIDATION,
        caught_by=(ours("domain_certificate"), model("enum")),
    ),
    Mutation(
        spoil=record_of_another_name,
        stack=ROUTER,
        account="the domain's name leads nowhere, and another one to it",
        source=RECORDS,
        caught_by=(ours("domain_record"),),
    ),
    Mutation(
        spoil=record_to_elsewhere,
        stack=ROUTER,
        account="callers reach another name, or nothing",
        source=RECORDS,
        caught_by=(ours("domain_record"),),
    ),
    Mutation(
        spoil=record_of_no_type,
        stack=ROUTER,
        account="the record is refused when it is created",
        source=RECORDS,
        caught_by=(model("enum"),),
    ),
)
