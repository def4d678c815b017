"""The list of pushed weights: its digest, its file, and the keys below which they lie."""

from dataclasses import replace

from contracts.manifest import PUSHED, Manifest, SealedFile
from contracts.names import weights_bucket, weights_stack
from contracts.tasks import Task, Tier
from contracts.weights.pushed import Weights, marker_of, prefix_of

FILES = (
    SealedFile(path="config.json", sha256="a" * 64, size=2),
    SealedFile(path="model.safetensors", sha256="b" * 64, size=40),
)
WEIGHTS = Weights(files=FILES, origin="hf://org/model@main")


def test_a_list_survives_its_file_and_has_the_size_of_all() -> None:
    assert Weights.from_json(WEIGHTS.to_json()) == WEIGHTS
    assert WEIGHTS.size == 42


def test_the_digest_is_of_the_files_and_not_of_where_they_came_from() -> None:
    assert replace(WEIGHTS, origin="").digest == WEIGHTS.digest
    for changed in (
        replace(FILES[0], path="other.json"),
        replace(FILES[0], sha256="c" * 64),
        replace(FILES[0], size=3),
    ):
        assert Weights(files=(changed, FILES[1])).digest != WEIGHTS.digest


def test_the_marker_is_not_among_what_a_container_is_given() -> None:
    digest = WEIGHTS.digest
    assert prefix_of(digest) == f"{digest}/"
    assert not marker_of(digest).startswith(prefix_of(digest))


def test_the_longest_name_of_a_bucket_is_within_the_limit_of_s3() -> None:
    assert weights_stack("shop") == "shop-weights"
    assert len(weights_bucket("sixteen-chars-ab", "123456789012", "ap-southeast-1")) <= 63


def test_a_manifest_says_which_weights_it_is_of() -> None:
    manifest = Manifest(
        model="chat",
        task=Task.TEXT_GENERATION,
        tier=Tier.GPU,
        precision="bfloat16",
        recipe="pushed",
        max_tokens=512,
        toolchain={},
    )
    assert manifest.pushed == ""
    assert replace(manifest, details={PUSHED: WEIGHTS.digest}).pushed == WEIGHTS.digest
