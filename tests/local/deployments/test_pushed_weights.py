"""A pushed model is deployed once its weights are there, answers through the router, and is proved by its answers."""

import json
import ssl
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam
from rich.console import Console

from contracts.specs import Deployment, GpuSpec, ModelSpec
from contracts.tasks import Task
from contracts.weights.pushed import prefix_of
from stacks.weights.proved import is_proved
from tests.fixtures.local_cloud_client import LocalCloudClient
from tests.fixtures.pushed.model import pushed, saved
from tests.fixtures.synthesis import KEY, inputs, synthesise
from tests.local.deployments.in_process import Assembly, InProcess, StackFailed
from tests.local.vllm.stand_in import install
from turnout.client import Endpoint, predict, request
from turnout.deployed.clients import clients_in
from turnout.push.errors import PushFailed
from turnout.push.local import push_again
from turnout.verify.endpoint import verify_endpoint, wanted

GPU = "shop-chat-gpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A deployment of one pushed model, synthesised for a local cloud whose server of vLLM's contract is a stand-in."""

    client: LocalCloudClient
    cdk: InProcess
    deployment: Deployment
    folder: Path
    assembly: Assembly

    @property
    def out(self) -> Path:
        return self.folder / "models.out"

    @property
    def endpoint(self) -> Endpoint:
        cloud = self.client.cloud
        return Endpoint(url=cloud.url, key=KEY, ca_file=str(cloud.ca_file))

    def push(self) -> None:
        cloud = self.client.cloud
        push_again(
            self.deployment,
            self.out,
            clients_in(cloud.region, local=cloud.credentials()),
            lambda: self.assembly.template("shop-weights"),
            lambda line: None,
        )


@pytest.fixture(scope="module")
def chat(local_cloud: LocalCloudClient, tmp_path_factory: pytest.TempPathFactory) -> Chat:
    folder = tmp_path_factory.mktemp("chat")
    rows = folder / "rows.jsonl"
    rows.write_text('{"text": "is it", "target": "yes"}\n', "utf-8")
    spec = ModelSpec(
        name="chat",
        source=saved(folder / "saved"),
        task=Task.TEXT_GENERATION,
        eval=rows,
        gpu=GpuSpec(instance="ml.g6.xlarge"),
    )
    pushed(spec, folder / "saved", folder / "models.out")
    deployment = Deployment(name="shop", models=(spec,))
    synthesise(inputs(folder, deployment), folder / "cdk.out")
    homes = (install(folder / "llamacpp"), folder / "none")
    local_cloud.cloud.containers.homes = homes
    cdk = InProcess(client=local_cloud)
    cdk.bootstrap()
    return Chat(
        client=local_cloud,
        cdk=cdk,
        deployment=deployment,
        folder=folder,
        assembly=Assembly.read(folder / "cdk.out"),
    )


def test_weights_that_were_not_pushed_fail_before_any_endpoint_with_the_command(chat: Chat) -> None:
    with pytest.raises(StackFailed) as caught:
        chat.cdk.deploy(chat.assembly)
    assert GPU in str(caught.value)
    assert "`turnout push chat`" in str(caught.value)
    assert chat.client.client("sagemaker").list_endpoints()["Endpoints"] == []


@pytest.fixture(scope="module")
def served(chat: Chat) -> Chat:
    """Push the weights, and deploy the model."""
    chat.push()
    chat.cdk.deploy(chat.assembly)
    return chat


def test_a_chat_is_read_as_vllm_writes_it_through_the_front_of_streams(served: Chat) -> None:
    cloud = served.client.cloud
    url = served.client.outputs("shop-router")["StreamUrl"]
    http = httpx2.Client(verify=ssl.create_default_context(cafile=str(cloud.ca_file)))
    with OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, http_client=http) as client:

        def stream(said: str) -> openai.Stream[ChatCompletionChunk]:
            asked: list[ChatCompletionMessageParam] = [{"role": "user", "content": said}]
            return client.chat.completions.create(model="chat", messages=asked, stream=True)

        chunks = list(stream("is it"))
        assert [one.choices[0].delta.content for one in chunks[1:-1]] == [" ye", "s"]
        assert chunks[-1].choices[0].finish_reason == "stop"
        assert (chunks[-1].model_extra or {})["turnout"]["tier"] == "gpu"
        # What fails behind the first words arrives as an event, and not as an end.
        written: list[str | None] = []
        failing = (one.choices[0].delta.content for one in stream("fail"))
        with pytest.raises(openai.APIError, match="failed"):
            written.extend(failing)
        assert written[-2:] == [" ye", "s"]
    line = json.loads(served.client.log("shop-router-stream").splitlines()[-1])
    assert (line["tier"], line["problem"], line["unfinished"]) == ("gpu", "model_failed", 1)


def test_pushed_weights_are_served_and_unproved_until_their_rows_were_answered(
    served: Chat,
) -> None:
    chat = served
    reply = predict(chat.endpoint, "chat", {"inputs": ["is it"]})
    assert reply.status == 200, reply.body
    assert reply.body["outputs"][0]["generated_text"] == " yes"
    assert (reply.body["tier"], reply.body["proved"]) == ("gpu", False)
    (tier,) = request(chat.endpoint, "GET", "/v1/models/chat").body["tiers"]
    assert (tier["deployed"], tier["proved"], tier["max_tokens"]) == (True, False, 512)
    # Every call that was made with the tier's role was one that it may make.
    made = [one for one in chat.client.cloud.access.made if f":role/{GPU}" in one.caller]
    assert "s3:GetObject" in {one.action for one in made}
    assert [one for one in made if not one.allowed] == []
    # With the record of what the endpoint answered, the next synthesis has the mark lifted.
    of = wanted(chat.deployment, "chat", chat.out, 1.0)
    record = verify_endpoint(
        of, lambda body: predict(chat.endpoint, "chat", body), chat.out, Console(quiet=True)
    )
    assert (record["holds"], record["as_the_rows_say"]) == (True, 1.0)
    assert is_proved(chat.out, of.manifest)
    synthesise(inputs(chat.folder, chat.deployment), chat.folder / "proved.out")
    assert chat.cdk.deploy(Assembly.read(chat.folder / "proved.out")) == ["shop-router"]
    (tier,) = request(chat.endpoint, "GET", "/v1/models/chat").body["tiers"]
    assert (tier["deployed"], tier["proved"]) == (True, True)


def test_model_data_that_is_not_there_or_not_open_is_refused_in_the_words_of_aws(
    chat: Chat,
) -> None:
    api = chat.client.client("sagemaker")
    (model,) = api.list_models()["Models"]
    described = api.describe_model(ModelName=model["ModelName"])
    container, role = described["PrimaryContainer"], described["ExecutionRoleArn"]
    place = container["ModelDataSource"]["S3DataSource"]["S3Uri"]

    def create(uri: str, of: str = role) -> str:
        source = {**container["ModelDataSource"]["S3DataSource"], "S3Uri": uri}
        try:
            api.create_model(
                ModelName="another",
                ExecutionRoleArn=of,
                PrimaryContainer={**container, "ModelDataSource": {"S3DataSource": source}},
            )
        except api.exceptions.ClientError as error:
            return str(error)
        return ""

    assert "must end with a forward slash" in create(place.removesuffix("/"))
    assert f"Could not find model data at {place}none/." in create(f"{place}none/")
    assert "Could not find model data" in create("s3://no-such-bucket/a/")
    chat.client.client("s3").put_object(
        Bucket=place.split("/")[2], Key=prefix_of("ab" * 32) + "config.json", Body=b"{}"
    )
    other = create(f"s3://{place.split('/')[2]}/{prefix_of('ab' * 32)}")
    assert "Could not access model data" in other
    assert "s3:GetObject" in other
    assert create(place) == ""


def test_weights_that_are_not_on_this_machine_are_named(chat: Chat) -> None:
    spec = chat.deployment.models[0]
    assert spec.gpu is not None
    streamed = replace(
        chat, deployment=replace(chat.deployment, models=(replace(spec, source="hf://org/name"),))
    )
    with pytest.raises(PushFailed) as caught:
        streamed.push()
    assert "`turnout push chat`" in str(caught.value)
