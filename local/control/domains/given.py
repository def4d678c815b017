"""The user's hosted zone and certificate, which a deployment with a domain finds in its account."""

from moto.acm.models import CertBundle, acm_backends
from moto.route53.models import route53_backends

from contracts.specs import Domain
from local.control.data_plane import ACCOUNT


def provide(domain: Domain, region: str) -> None:
    """Have what a domain's settings name in the local cloud, as if it had been there before; nothing at a second call.

    The zone is that of the name's parent.
    """
    zones = route53_backends[ACCOUNT]["aws"]
    if domain.hosted_zone_id and domain.hosted_zone_id not in zones.zones:
        zone = zones.create_hosted_zone(domain.name.partition(".")[2], private_zone=False)
        zones.zones[domain.hosted_zone_id] = zones.zones.pop(zone.resource_id)
        zone.resource_id = domain.hosted_zone_id
    certificates = acm_backends[ACCOUNT][region]._certificates
    if (arn := domain.certificate_arn) and arn not in certificates:
        made = CertBundle.generate_cert(domain.name, account_id=ACCOUNT, region=region)
        made.arn, made.status = arn, "ISSUED"
        certificates[arn] = made
