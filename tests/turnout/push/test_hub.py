"""A repository is read over HTTP as its bytes are needed, from a hub that redirects, breaks off and refuses."""

from pathlib import Path

import pytest
from rich.console import Console

from contracts.weights.pushed import Weights
from tests.fixtures.local_cloud_client import LocalCloudClient
from tests.fixtures.problems import assert_problems
from tests.turnout.push.conftest import PART, SHARDS
from tests.turnout.push.hub import COMMIT, TOKEN, Behaviour, hub
from turnout.push.errors import PushFailed
from turnout.push.hub import PAUSES, Hub
from turnout.push.kept import Kept
from turnout.push.pushing import send
from turnout.push.tree import Folder, read_weights

SOURCE = "hf://org/model@main"
SHARD = next(iter(SHARDS))


def read_all(tree: Hub, path: str) -> bytes:
    with tree.open(path) as file:
        return file.read(tree.sizes[path] + 1)


def weights_of(tree: Hub | Folder) -> Weights:
    return read_weights(tree, lambda path, size: None)


def test_a_repository_has_the_digest_of_the_same_folder_and_no_shard_is_read_for_it(
    folder: Path,
) -> None:
    behaviour = Behaviour()
    with hub(folder, behaviour) as environment:
        weights = weights_of(Hub(SOURCE, environment))
    assert weights.digest == weights_of(Folder(folder)).digest
    assert weights.origin == f"hf://org/model@{COMMIT}"
    # Of a shard it is asked for its header alone, and the connection closed.
    assert [start for host, _, start in behaviour.asked if host == "files"] == [0] * len(SHARDS)


def test_a_repository_is_sent_on_shard_by_shard(
    folder: Path, cloud: LocalCloudClient, log: Console
) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="from-the-hub")
    with hub(folder, Behaviour(breaks_after=[3 << 20])) as environment:
        tree = Hub(SOURCE, environment, pause=lambda seconds: None)
        weights = weights_of(tree)
        send(tree, weights, s3, "from-the-hub", log, Kept(part=PART))
    for name in SHARDS:
        stored = s3.get_object(Bucket="from-the-hub", Key=f"{weights.digest}/{name}")
        assert stored["Body"].read() == (folder / name).read_bytes()


def test_a_shard_that_comes_otherwise_than_the_hub_states_is_not_stored(
    folder: Path, cloud: LocalCloudClient, log: Console
) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="from-a-bad-hub")
    with hub(folder, Behaviour(flips=SHARD)) as environment:
        tree = Hub(SOURCE, environment)
        weights = weights_of(tree)
        with pytest.raises(PushFailed) as caught:
            send(tree, weights, s3, "from-a-bad-hub", log, Kept(part=PART))
    assert_problems(caught.value.problems, ("weights_differ", "", "other bytes than its digest"))


@pytest.mark.parametrize("ignores_ranges", [False, True])
def test_a_connection_that_breaks_off_is_opened_again_at_the_next_byte(
    folder: Path, ignores_ranges: bool
) -> None:
    behaviour = Behaviour(breaks_after=[3 << 20, 1 << 20], ignores_ranges=ignores_ranges)
    pauses: list[float] = []
    with hub(folder, behaviour) as environment:
        body = read_all(Hub(SOURCE, environment, pause=pauses.append), SHARD)
    assert body == (folder / SHARD).read_bytes()
    starts = [start for host, _, start in behaviour.asked if host == "files"]
    assert starts[0] == 0
    assert len(starts) == 1 + len(pauses)
    # Each pause is the first one again where some bytes came in between.
    assert ignores_ranges or set(pauses) == {PAUSES[0]}


def test_the_token_goes_to_the_hub_and_not_where_it_sends_us(folder: Path) -> None:
    behaviour = Behaviour(private=True)
    with hub(folder, behaviour) as environment:
        read_all(Hub(SOURCE, environment), SHARD)
    assert {token for host, token, _ in behaviour.asked if host == "hub"} == {f"Bearer {TOKEN}"}
    assert {token for host, token, _ in behaviour.asked if host == "files"} == {""}


def test_a_private_repository_without_a_token_is_refused_with_the_step(folder: Path) -> None:
    with hub(folder, Behaviour(private=True)) as environment:
        del environment["HF_TOKEN"]
        with pytest.raises(PushFailed) as caught:
            Hub(SOURCE, environment)
    assert_problems(caught.value.problems, ("fetch_failed", "", "401", "HF_TOKEN"))


@pytest.mark.parametrize(
    ("status", "said"), [(403, "licence"), (404, "its name and its revision"), (410, "later")]
)
def test_what_the_hub_refuses_ends_the_push_at_once(folder: Path, status: int, said: str) -> None:
    behaviour = Behaviour(before=[(status, {})] * 9)
    with hub(folder, behaviour) as environment, pytest.raises(PushFailed) as caught:
        Hub(SOURCE, environment)
    assert_problems(caught.value.problems, ("fetch_failed", "", str(status), said))
    assert len(behaviour.asked) == 1


def test_a_hub_that_is_asked_too_often_is_asked_again_after_the_time_that_it_names(
    folder: Path,
) -> None:
    behaviour = Behaviour(
        before=[(429, {"Retry-After": "7"}), (503, {}), (429, {"Retry-After": "9999"})]
    )
    pauses: list[float] = []
    with hub(folder, behaviour) as environment:
        assert Hub(SOURCE, environment, pause=pauses.append).commit == COMMIT
    assert pauses == [7.0, PAUSES[1], 300.0]


def test_a_hub_that_never_answers_ends_the_push_after_some_tries(folder: Path) -> None:
    behaviour = Behaviour(before=[(503, {})] * 99)
    pauses: list[float] = []
    with hub(folder, behaviour) as environment, pytest.raises(PushFailed) as caught:
        Hub(SOURCE, environment, pause=pauses.append)
    assert_problems(caught.value.problems, ("fetch_failed", "", "503", "later"))
    assert tuple(pauses) == PAUSES


def test_no_hub_at_all_is_said_to_be_unreachable() -> None:
    with pytest.raises(PushFailed) as caught:
        Hub(SOURCE, {"HF_ENDPOINT": "http://127.0.0.1:9"}, pause=lambda seconds: None)
    assert_problems(caught.value.problems, ("fetch_failed", "", "cannot be reached", "a folder"))


def test_a_hub_that_states_no_sizes_is_none(folder: Path) -> None:
    with hub(folder, Behaviour(states_sizes=False)) as environment:
        with pytest.raises(PushFailed) as caught:
            Hub(SOURCE, environment)
    assert_problems(caught.value.problems, ("fetch_failed", "", "no sizes", "HF_ENDPOINT"))
