"""A model that writes, deployed into the local cloud, and its text read as it is written, by OpenAI's own client."""

import gzip
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
import openai
import pytest
from openai import OpenAI

from contracts.manifest import MANIFEST, read_manifest, sealed_files
from contracts.names import router_stack
from contracts.prediction import PredictRequest
from contracts.specs import CpuSpec, Deployment, Domain, ModelSpec, Throttle
from contracts.tasks import Task
from functions.inference.engine import Engine
from functions.inference.probe import PROBE, Sample, answers
from local.control.domains.given import provide
from tests.fixtures.local_cloud_client import LocalCloudClient
from tests.fixtures.models.writers.counting import NUMBERS, writer
from tests.fixtures.synthesis import KEY, inputs, synthesise
from tests.local.deployments.in_process import Assembly, InProcess

WRITER = ModelSpec(
    name="writer",
    source=Path("nowhere"),
    task=Task.TEXT_GENERATION,
    eval=Path("nowhere"),
    cpu=CpuSpec(timeout_s=600),
)
# Seconds for an answer: functions start anew on a busy machine.
PATIENCE_S = 60.0
DEPLOYMENT = Deployment(name="text", throttle=Throttle(rate=100, burst=100), models=(WRITER,))


def probed(folder: Path) -> None:
    """Write the artefact of a model that counts on, with a probe of its first numbers."""
    model = Engine.load(writer(folder)).model
    request = PredictRequest(inputs=(NUMBERS[0],))
    # Its tokens are the numbers in their order, behind the end.
    along = (2, 3, 4)
    sample = Sample(request=request, along=along, outputs=answers(model, request, along))
    (folder / PROBE).write_text(json.dumps([sample.to_json()]), "utf-8")
    manifest = read_manifest(folder)
    files = sealed_files(folder, [*(file.path for file in manifest.files), PROBE])
    sealed = replace(manifest, model="writer", files=files).sealed()
    (folder / MANIFEST).write_text(sealed.to_json(), "utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """The model in the local cloud, and the command line that has deployed it from a folder."""

    cdk: InProcess
    folder: Path

    def deploy(self, deployment: Deployment) -> dict[str, str]:
        """Bring it to a deployment, and return the outputs of the router's stack."""
        assembly = self.folder / f"cdk.out.{len(list(self.folder.iterdir()))}"
        synthesise(inputs(self.folder, deployment), assembly)
        self.cdk.deploy(Assembly.read(assembly))
        return self.cdk.client.outputs(router_stack("text"))


@pytest.fixture(scope="module")
def deployed(local_cloud: LocalCloudClient, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    folder = tmp_path_factory.mktemp("text")
    probed(folder / "models.out/writer/cpu")
    cdk = InProcess(client=local_cloud)
    cdk.bootstrap()
    return Deployed(cdk=cdk, folder=folder)


@pytest.fixture(scope="module")
def urls(deployed: Deployed) -> dict[str, str]:
    """Deploy the model, and return the outputs of the router's stack."""
    return deployed.deploy(DEPLOYMENT)


@pytest.fixture
def http(local_cloud: LocalCloudClient) -> Iterator[httpx2.Client]:
    context = ssl.create_default_context(cafile=str(local_cloud.cloud.ca_file))
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx2.Client(verify=context, headers=headers, timeout=PATIENCE_S) as client:
        yield client


def at(url: str, http: httpx2.Client) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, http_client=http)


def test_a_text_comes_as_the_deployed_model_writes_it(
    urls: dict[str, str], http: httpx2.Client, local_cloud: LocalCloudClient
) -> None:
    client = at(urls["StreamUrl"], http)
    stream = client.completions.create(model="writer", prompt="one", stream=True)
    chunks = list(stream)
    texts = [one.choices[0].text for one in chunks]
    assert texts[:2] == [" two", " three"]
    whole = client.completions.create(model="writer", prompt="one")
    assert "".join(texts) == whole.choices[0].text
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    line = json.loads(local_cloud.log("text-router-stream").splitlines()[0])
    assert (line["path"], line["tier"], line["status"]) == ("/v1/completions", "cpu", 200)
    assert line["first_ms"] > 0


def test_the_url_of_the_other_front_stays_and_each_names_both(
    urls: dict[str, str], http: httpx2.Client
) -> None:
    for url in urls.values():
        listed = http.get(f"{url}/v1/models").json()
        assert listed["urls"] == {"whole": urls["Url"], "streamed": urls["StreamUrl"]}
    with pytest.raises(openai.BadRequestError, match=urls["StreamUrl"]):
        at(urls["Url"], http).completions.create(model="writer", prompt="one", stream=True)


def test_a_deadline_of_minutes_is_taken_where_there_is_the_time(
    urls: dict[str, str], http: httpx2.Client
) -> None:
    asked = {"inputs": ["one"], "deadline_ms": 300_000}
    whole, streamed = (
        http.post(f"{urls[name]}/v1/models/writer/predict", json=asked)
        for name in ("Url", "StreamUrl")
    )
    assert (whole.status_code, whole.json()["code"]) == (422, "invalid_input")
    assert urls["StreamUrl"] in whole.json()["detail"]
    assert streamed.status_code == 200
    assert streamed.json()["outputs"][0]["generated_text"].startswith(" two three")


def test_both_fronts_have_the_same_routes_and_keys(
    urls: dict[str, str], http: httpx2.Client
) -> None:
    for url in urls.values():
        assert http.get(f"{url}/docs").status_code == 200
        assert http.get(f"{url}/v1/nothing").status_code == 404
        key = {"Authorization": "Bearer none"}
        assert http.get(f"{url}/v1/models", headers=key).status_code == 401


def test_compressed_bodies_arrive_through_either_front(
    urls: dict[str, str], http: httpx2.Client
) -> None:
    body = gzip.compress(json.dumps({"inputs": "one"}).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/octet-stream"}
    for url in urls.values():
        answer = http.post(f"{url}/v1/models/writer/predict", content=body, headers=headers)
        assert (answer.status_code, answer.json()["tier"]) == (200, "cpu")


NAME = "api.example.org"
DOMAIN = Domain(name=NAME, hosted_zone_id="Z0123456789ABCDEFGHIJ")


class AsResolved(httpx2.HTTPTransport):
    """A transport to the local cloud of what is asked at a custom domain, as `curl --connect-to` sends it."""

    def __init__(self, cloud: str, context: ssl.SSLContext) -> None:
        super().__init__(verify=context)
        self.port = httpx2.URL(cloud).port

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request to this machine, with the name that was asked for in TLS and in Host."""
        extensions = {**request.extensions, "sni_hostname": request.url.host}
        here = request.url.copy_with(host="127.0.0.1", port=self.port)
        return super().handle_request(
            httpx2.Request(
                request.method,
                here,
                headers=request.headers,
                stream=request.stream,
                extensions=extensions,
            )
        )


@pytest.fixture(scope="module")
def named(deployed: Deployed, urls: dict[str, str]) -> dict[str, str]:
    """Put a custom domain in front of what is deployed, in the user's zone; return the outputs."""
    provide(DOMAIN, deployed.cdk.client.cloud.region)
    return deployed.deploy(replace(DEPLOYMENT, domain=DOMAIN))


@pytest.fixture
def by_name(named: dict[str, str], local_cloud: LocalCloudClient) -> Iterator[httpx2.Client]:
    cloud = local_cloud.cloud
    context = ssl.create_default_context(cafile=str(cloud.ca_file))
    headers = {"Authorization": f"Bearer {KEY}"}
    transport = AsResolved(cloud.url, context)
    with httpx2.Client(transport=transport, headers=headers, timeout=PATIENCE_S) as client:
        yield client


def test_a_domain_leads_to_both_fronts_whose_own_urls_stay(
    urls: dict[str, str],
    named: dict[str, str],
    by_name: httpx2.Client,
    http: httpx2.Client,
) -> None:
    fronts = {"DomainUrl": f"https://{NAME}", "DomainStreamUrl": f"https://{NAME}/stream"}
    assert named == {**urls, **fronts}
    for url in fronts.values():
        listed = by_name.get(f"{url}/v1/models").json()
        assert listed["urls"] == {
            "whole": fronts["DomainUrl"],
            "streamed": fronts["DomainStreamUrl"],
        }
        whole = at(url, by_name).completions.create(model="writer", prompt="one")
        assert whole.choices[0].text.startswith(" two three")
        assert by_name.get(f"{url}/v1/nothing").status_code == 404
    for url in urls.values():
        assert http.get(f"{url}/v1/models").json()["urls"]["whole"] == fronts["DomainUrl"]


def test_a_stream_comes_through_a_domain(
    named: dict[str, str], by_name: httpx2.Client, local_cloud: LocalCloudClient
) -> None:
    stream = at(named["DomainStreamUrl"], by_name).completions.create(
        model="writer", prompt="one", stream=True
    )
    assert [one.choices[0].text for one in stream][:2] == [" two", " three"]
    with pytest.raises(openai.BadRequestError, match=named["DomainStreamUrl"]):
        at(named["DomainUrl"], by_name).completions.create(
            model="writer", prompt="one", stream=True
        )
    line = json.loads(local_cloud.log("text-router-stream").splitlines()[-1])
    assert (line["path"], line["tier"], line["status"]) == ("/v1/completions", "cpu", 200)


def test_a_domain_has_a_record_in_its_zone_and_a_certificate_for_its_name(
    named: dict[str, str], local_cloud: LocalCloudClient
) -> None:
    zone = DOMAIN.hosted_zone_id
    found = local_cloud.client("route53").list_resource_record_sets(HostedZoneId=zone)
    aliases = {
        one["Name"]: one["AliasTarget"]["DNSName"]
        for one in found["ResourceRecordSets"]
        if "AliasTarget" in one
    }
    ((name, target),) = aliases.items()
    assert (name, target.rstrip(".").endswith(".amazonaws.com")) == (f"{NAME}.", True)
    (certificate,) = local_cloud.client("acm").list_certificates()["CertificateSummaryList"]
    assert (certificate["DomainName"], certificate["Status"]) == (NAME, "ISSUED")


def test_a_domain_that_is_given_up_leaves_no_name_record_or_certificate(
    named: dict[str, str], deployed: Deployed, urls: dict[str, str], local_cloud: LocalCloudClient
) -> None:
    assert deployed.deploy(DEPLOYMENT) == urls
    assert local_cloud.client("apigatewayv2").get_domain_names()["Items"] == []
    assert local_cloud.client("acm").list_certificates()["CertificateSummaryList"] == []
    zone = DOMAIN.hosted_zone_id
    found = local_cloud.client("route53").list_resource_record_sets(HostedZoneId=zone)
    assert not any("AliasTarget" in one for one in found["ResourceRecordSets"])
