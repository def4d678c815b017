"""A model that writes, deployed into the local cloud, and its text read as it is written, by OpenAI's own client."""

import gzip
import json
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import openai
import pytest
from openai import OpenAI

from contracts.manifest import MANIFEST, read_manifest, sealed_files
from contracts.names import router_stack
from contracts.prediction import PredictRequest
from contracts.specs import CpuSpec, Deployment, ModelSpec, Throttle
from contracts.tasks import Task
from functions.inference.engine import Engine
from functions.inference.probe import PROBE, Sample, answers
from tests.fixtures.local_cloud_client import LocalCloudClient
from tests.fixtures.models.writers.counting import NUMBERS, writer
from tests.fixtures.synthesis import KEY, inputs, synthesise
from tests.local.deployments.in_process import Assembly, InProcess

WRITER = ModelSpec(
    name="writer",
    source=Path("nowhere"),
    task=Task.TEXT_GENERATION,
    eval=Path("nowhere"),
    cpu=CpuSpec(),
)
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


@pytest.fixture(scope="module")
def urls(local_cloud: LocalCloudClient, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Deploy the model, and return the outputs of the router's stack."""
    folder = tmp_path_factory.mktemp("text")
    probed(folder / "models.out/writer/cpu")
    cdk = InProcess(client=local_cloud)
    cdk.bootstrap()
    synthesise(inputs(folder, DEPLOYMENT), folder / "cdk.out")
    cdk.deploy(Assembly.read(folder / "cdk.out"))
    return local_cloud.outputs(router_stack("text"))


@pytest.fixture
def http(local_cloud: LocalCloudClient) -> Iterator[httpx2.Client]:
    context = ssl.create_default_context(cafile=str(local_cloud.cloud.ca_file))
    with httpx2.Client(verify=context, headers={"Authorization": f"Bearer {KEY}"}) as client:
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
