"""Sources on a Hugging Face hub and in S3: servers on loopback speak the protocols, the real clients call them."""

import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import onnx
import pytest

from build import api
from build.errors import SourceError
from build.sources import remote
from build.sources.readers import inspect
from contracts.manifest import verify
from contracts.tasks import Task
from tests.fixtures.models.hub import COMMIT, hub
from tests.fixtures.models.tiny_bare import bare
from tests.fixtures.models.tiny_bert import CPU, classifier, deployment, texts, write_rows
from tests.fixtures.problems import assert_problems

pytestmark = pytest.mark.build

AWS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = classifier(tmp_path_factory.mktemp("model") / "bert")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n", "utf-8")
    (folder / "training_args.bin").write_bytes(b"\x80\x04 a pickle")
    return folder


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    """Serve an S3 on loopback; yield its clients' environment."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield {**os.environ, **AWS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    server.stop()


def put(environment: dict[str, str], key: str, body: bytes) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="x",
        aws_secret_access_key="x",
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="models")
    client.put_object(Bucket="models", Key=key, Body=body)


def test_a_repository_is_fetched_once_pinned_and_built(model: Path, tmp_path: Path) -> None:
    requested: list[str] = []
    out = tmp_path / "out"
    source = "hf://org/bert@main"
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": text} for text in texts(12)])
    with hub(model, requested) as environment:
        remote.fetch(source, out, environment)
        before = len(requested)
        remote.fetch(source, out, environment)
        assert len(requested) == before
    folder, origin, _ = remote.located(source, out)
    assert folder is not None
    assert origin == f"hf://org/bert@{COMMIT}"
    assert (folder / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
    assert not (folder / "training_args.bin").exists()
    one = deployment(folder, rows, cpu=CPU, gpu=None)
    spec = one.models[0]
    there = type(one)(
        models=(type(spec)(name="tiny", source=source, task=spec.task, eval=rows, cpu=CPU),)
    )
    api.run(api.plan(there, out), out, timed=False)
    found = verify(out / "tiny/cpu").provenance
    assert (found["origin"], found["licence"]) == (origin, "apache-2.0")


def held(folder: Path) -> list[str]:
    """Return the files in a folder, without the library's own notes."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_one_file_of_a_repository_is_fetched_alone(model: Path, tmp_path: Path) -> None:
    source = "hf://org/bert/model.safetensors@main"
    with hub(model, []) as environment:
        remote.fetch(source, tmp_path, environment)
        with pytest.raises(SourceError) as caught:
            remote.fetch("hf://org/bert/other.gguf", tmp_path, environment)
    missing = (
        "fetch_failed",
        "hf://org/bert/other.gguf",
        f" other.gguf in it at {COMMIT}",
        "README.md, ",
    )
    assert_problems(caught.value.problems, missing)
    path, origin, _ = remote.located(source, tmp_path)
    assert path is not None
    assert path.read_bytes() == (model / "model.safetensors").read_bytes()
    assert held(path.parent) == ["model.safetensors"]
    assert origin == f"hf://org/bert/model.safetensors@{COMMIT}"


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("data", ["model.onnx.data", "[0] weights"])
def test_what_a_graph_keeps_its_tensors_in_is_fetched_with_it_whatever_it_is_called(
    s3: dict[str, str], tmp_path: Path, data: str
) -> None:
    model = bare(tmp_path / "model", data=data)
    (model / "other").write_bytes(b"no part of it")
    prefix = f"bare/{len(data)}"
    for path in model.iterdir():
        put(s3, f"{prefix}/{path.name}", path.read_bytes())
    sources = {
        "hf://org/bert": True,
        "hf://org/bert/model.onnx": False,
        f"s3://models/{prefix}": True,
        f"s3://models/{prefix}/model.onnx": False,
    }
    with hub(model, []) as environment:
        for source, is_folder in sources.items():
            remote.fetch(source, tmp_path, {**s3, "HF_ENDPOINT": environment["HF_ENDPOINT"]})
            place, _, _ = remote.located(source, tmp_path)
            assert place is not None
            folder = place if is_folder else place.parent
            assert ("other" in held(folder), "config.json" in held(folder)) == (False, is_folder)
            assert (folder / data).read_bytes() == (model / data).read_bytes()


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "nowhere"])
def test_data_that_are_not_in_the_repository_are_left_to_the_plan_to_refuse(
    tmp_path: Path, location: str
) -> None:
    model = bare(tmp_path / "model", data="weights")
    graph = onnx.load(model / "model.onnx", load_external_data=False)
    for tensor in graph.graph.initializer:
        tensor.external_data[0].value = location
    (model / "model.onnx").write_bytes(graph.SerializeToString())
    (model / "broken.onnx").write_bytes(b"\x00\x01 no graph")
    with hub(model, []) as environment:
        remote.fetch("hf://org/bert", tmp_path, environment)
    folder, _, _ = remote.located("hf://org/bert", tmp_path)
    assert folder is not None
    assert not {"weights", "secret", "passwd"} & {path.name for path in folder.parent.rglob("*")}
    _, (problem,) = inspect(folder / "model.onnx", Task.TEXT_CLASSIFICATION, None)
    assert location in problem.message


def test_pickles_are_fetched_only_where_they_are_allowed_and_there_is_nothing_else(
    model: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    old.mkdir()
    (old / "config.json").write_text("{}", "utf-8")
    (old / "pytorch_model.bin").write_bytes(b"\x80\x04 weights")
    for number, (folder, pickle, comes) in enumerate(
        ((old, False, False), (old, True, True), (model, True, False))
    ):
        out = tmp_path / str(number)
        with hub(folder, []) as environment:
            remote.fetch("hf://org/bert", out, environment, pickle=pickle)
        found, _, _ = remote.located("hf://org/bert", out, pickle=pickle)
        assert found is not None
        assert any(name.endswith(".bin") for name in held(found)) is comes
        assert remote.located("hf://org/bert", out, pickle=not pickle)[0] is None


def test_a_repository_that_is_not_there_leaves_nothing(model: Path, tmp_path: Path) -> None:
    with hub(model, []) as environment, pytest.raises(SourceError) as caught:
        remote.fetch("hf://org/other", tmp_path, environment)
    unknown = ("fetch_failed", "hf://org/other", "RepositoryNotFoundError", "HF_TOKEN")
    assert_problems(caught.value.problems, unknown)
    assert list(tmp_path.iterdir()) == []


def test_a_prefix_is_fetched_and_pinned_by_what_lies_there(
    model: Path, s3: dict[str, str], tmp_path: Path
) -> None:
    for path in model.iterdir():
        put(s3, f"bert/v1/{path.name}", path.read_bytes())
    remote.fetch("s3://models/bert/v1", tmp_path, s3)
    folder, origin, _ = remote.located("s3://models/bert/v1", tmp_path)
    assert folder is not None
    assert folder.name == f"s3--models--{origin.rsplit('#', 1)[1]}"
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        p.name for p in model.iterdir() if p.suffix != ".bin"
    )


def test_one_object_is_fetched_alone(s3: dict[str, str], tmp_path: Path) -> None:
    for name in ("one.gguf", "one.gguf.old", "two.gguf"):
        put(s3, f"files/{name}", name.encode())
    remote.fetch("s3://models/files/one.gguf", tmp_path, s3)
    path, origin, _ = remote.located("s3://models/files/one.gguf", tmp_path)
    assert path is not None
    assert (path.name, path.read_bytes()) == ("one.gguf", b"one.gguf")
    assert held(path.parent) == ["one.gguf"]
    assert origin.startswith("s3://models/files/one.gguf#")


@pytest.mark.parametrize(
    ("key", "source", "problem"),
    [
        (
            "bad/../../config.json",
            "s3://models/bad",
            "leads out of its folder; this is not fetched",
        ),
        ("none/weights.pkl", "s3://models/none/", "no file of a model lies under none/"),
        ("x/config.json", "s3://nobucket/x", "NoSuchBucket"),
    ],
)
def test_what_cannot_be_fetched_from_s3_is_reported_and_leaves_nothing(
    s3: dict[str, str], tmp_path: Path, key: str, source: str, problem: str
) -> None:
    put(s3, key, b"{}")
    with pytest.raises(SourceError) as caught:
        remote.fetch(source, tmp_path, s3)
    assert_problems(caught.value.problems, ("fetch_failed", source, problem))
    assert list(tmp_path.iterdir()) == []


def test_a_prefix_is_described_without_its_weights(
    model: Path, s3: dict[str, str], tmp_path: Path
) -> None:
    for path in model.iterdir():
        put(s3, f"described/{path.name}", path.read_bytes())
    found = remote.describe("s3://models/described/", tmp_path, s3)
    assert (found.pinned, found.file) == ("s3://models/described", "")
    assert set(found.names) == {path.name for path in model.iterdir()}
    assert {"config.json", "tokenizer.json"} <= set(held(tmp_path))
    assert not any(name.endswith((".safetensors", ".bin")) for name in held(tmp_path))
    one = remote.describe("s3://models/described/model.safetensors", tmp_path / "none", s3)
    assert (one.file, one.names) == ("model.safetensors", ("model.safetensors",))
    with pytest.raises(SourceError) as caught:
        remote.describe("s3://models/nothing", tmp_path, s3)
    assert_problems(caught.value.problems, ("fetch_failed", "s3://models/nothing", "no file lies"))


def test_a_plan_lists_what_was_not_downloaded_and_uses_no_network(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": "film"}])
    spec = deployment(tmp_path, rows, cpu=CPU, gpu=None).models[0]
    there = type(spec)(name="tiny", source="hf://org/bert", task=spec.task, eval=rows, cpu=CPU)
    with pytest.raises(SourceError) as caught:
        api.plan(type(deployment(tmp_path, rows))(models=(there,)), tmp_path)
    later = ("not_fetched", "tiny: hf://org/bert", "`turnout build`")
    assert_problems(caught.value.problems, later)
    for source in ("s3://Models", "hf://org/../bert"):
        with pytest.raises(SourceError) as caught:
            remote.fetch(source, tmp_path)
        form = "write hf://org/name@revision"
        assert_problems(caught.value.problems, ("setting_invalid", source, form))
