"""A slimmed image replies as a whole one, or gets back the pieces that it needs for that and no others."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from images.base import Base
from images.errors import ImageError
from images.layer import Entry
from images.oci.layout import Settings
from images.root import root_of
from images.slimming.function import Case, Reply, replies
from images.slimming.pieces import split
from images.slimming.proof import Slimmed, needed, pieces_needed, with_entries

pytestmark = pytest.mark.build

HANDLER = b"""
import importlib, os, random, sys, time
if os.environ.get("BROKEN"):
    raise RuntimeError("there is no model")
def handler(event, context):
    match event:
        case {"ask": name}:
            return {"answer": importlib.import_module(name).ANSWER, "elapsed_ms": time.time()}
        case {"fallback": name}:
            try:
                return {"answer": importlib.import_module(name).ANSWER}
            except ImportError:
                return {"answer": "another"}
        case {"random": True}:
            return {"answer": random.random()}
        case {"end": True}:
            os._exit(3)
        case {"system": True}:
            return {"root": sorted(os.listdir("/")), "user": os.getuid(), "names": sorted(os.environ)}
    return {"answer": sys.version_info[:2]}
"""
CLIENT = ("awslambdaric/", "runtime_client.", "simplejson/", "snapshot_restore_py.py")


@pytest.fixture(scope="module")
def slimmed(
    base: Base, work: Path, packages: Sequence[Entry], tmp_path_factory: pytest.TempPathFactory
) -> Slimmed:
    """A function on the real base and Lambda's own client, without eight modules that it may import."""
    client = [
        entry
        for entry in packages
        if entry.path.removeprefix("var/task/").startswith(CLIENT) and "/tests/" not in entry.path
    ]
    modules = [
        Entry(path=f"var/task/part_{number}.py", source=f"ANSWER = {number}".encode())
        for number in range(8)
    ]
    handler = Entry(path="var/task/handler.py", source=HANDLER)
    parts = split([handler, *client, *modules], [module.path for module in modules])
    root = tmp_path_factory.mktemp("slimmed") / "root"
    settings = Settings(
        environment={**base.env, "PYTHONDONTWRITEBYTECODE": "1"},
        working_dir="/var/task",
        entrypoint=base.entrypoint,
        command=("handler.handler",),
    )
    with_entries(root_of(base.layers, work), parts.kept, root)
    return Slimmed(root=root, settings=settings, pieces=parts.pieces)


def case(*documents: object) -> Case:
    return Case(payloads=tuple(json.dumps(document).encode() for document in documents))


def piece(number: int) -> str:
    return f"var/task/part_{number}.py"


def test_pieces_that_a_reply_needs_go_back_and_no_others(slimmed: Slimmed, tmp_path: Path) -> None:
    cases = [case({"ask": "part_6"}, {}), case({}, {"fallback": "part_1"}, {"ask": "missing"})]
    assert pieces_needed(slimmed, cases, tmp_path) == (piece(1), piece(6))
    assert list(tmp_path.iterdir()) == []


def test_an_image_that_replies_the_same_stays_as_slim_as_it_is(
    slimmed: Slimmed, tmp_path: Path
) -> None:
    malformed = Case(payloads=(b"", b"\xff", b'{"ask'))
    broken = Case(payloads=(b"{}",), environment=(("BROKEN", "1"),))
    ends = case({"end": True}, {"ask": "missing"})
    assert pieces_needed(slimmed, [case({}), malformed, broken, ends], tmp_path) == ()


def test_replies_that_differ_by_themselves_prove_nothing(slimmed: Slimmed, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="replies to one request in two ways") as caught:
        pieces_needed(slimmed, [case({"random": True})], tmp_path)
    assert [problem.code for problem in caught.value.problems] == ["image_unproven"]


def test_a_program_that_is_not_in_the_image_is_reported(slimmed: Slimmed, tmp_path: Path) -> None:
    settings = Settings(working_dir="/var/task", entrypoint=("/bin/none",))
    none = Slimmed(root=slimmed.root, settings=settings, pieces=slimmed.pieces)
    with pytest.raises(ImageError, match="--no-slim"):
        pieces_needed(none, [case({})], tmp_path)


def test_each_payload_gets_a_reply_whatever_becomes_of_the_process(slimmed: Slimmed) -> None:
    documents = case({}, {"end": True}, {"ask": "missing"}, {})
    found = replies(slimmed.root, slimmed.settings, documents)
    assert [reply.kind for reply in found] == ["response", "ended", "error", "response"]
    assert (found[0], found[1]) == (found[3], Reply(kind="ended", payload=b"3"))
    assert json.loads(found[2].payload)["errorType"] == "ModuleNotFoundError"
    broken = Case(payloads=(b"1", b"2"), environment=(("BROKEN", "1"),))
    first, second = replies(slimmed.root, slimmed.settings, broken)
    assert first == second
    assert (first.kind, json.loads(first.payload)["errorMessage"]) == ("init", "there is no model")


def test_a_function_has_the_image_as_its_root_and_nothing_of_this_machine(
    slimmed: Slimmed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THIS_MACHINE", "1")
    [reply] = replies(slimmed.root, slimmed.settings, case({"system": True}))
    found = json.loads(reply.payload)
    assert found["root"] == sorted(path.name for path in slimmed.root.iterdir())
    assert found["user"] == 993
    assert "SECRET_OF_THIS_MACHINE" not in found["names"]
    assert {"AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT"} <= set(found["names"])


@pytest.mark.parametrize("wanted", [(), (0,), (7,), (3, 4), (0, 5, 7), tuple(range(8))])
def test_few_tries_find_what_is_needed(wanted: tuple[int, ...]) -> None:
    tried: list[Sequence[str]] = []

    def holds(names: Sequence[str]) -> bool:
        tried.append(names)
        return {str(number) for number in wanted} <= set(names)

    assert sorted(needed([str(number) for number in range(8)], holds)) == list(map(str, wanted))
    assert len(tried) <= 1 + 4 * len(wanted)
