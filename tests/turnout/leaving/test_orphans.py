"""`turnout orphans` lists what models.toml no longer names, and deletes that alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from contracts.specs import Deployment
from images.made.record import ImagesRecord
from tests.fixtures.synthesis import INTENTS
from tests.turnout.leaving.conftest import REGION, Account, gpu, table
from turnout.deployed.clients import MANY, AwsRefused, Clients, clients_in
from turnout.deployed.inventory import Inventory, take_inventory
from turnout.deployed.warning import watch
from turnout.leaving.removal import Removal
from turnout.leaving.target import NoLocalCloud, Target, clients_of

pytestmark = pytest.mark.system
WORDS = """
[deployment]
name = "left"
[models.words]
source = "few.vec"
task = "word-vectors"
eval = "rows.jsonl"
cpu = {}
"""


def test_what_models_toml_names_stays(account: Account) -> None:
    Path("few.vec").write_text("2 2\none 1 0\ntwo 0 1\n", "utf-8")
    Path("rows.jsonl").write_text('{"text": "one"}\n', "utf-8")
    Path("models.toml").write_text(WORDS, "utf-8")
    used, unused = f"turnout-left_{'a' * 64}", f"turnout-left_{'b' * 64}"
    for tag in (used, unused):
        account.image(tag)
    names = table("left-words-cpu") | {"Metadata": {"image": f"repository:{used}"}}
    account.stack("left-words-cpu", "left", Table=names)
    account.stack("left-router", "left", Table=table("left-router"))
    account.stack("left-gone-gpu", "left", **gpu("left-gone-gpu-g6-xl", "left"))
    # No stack has it: an update was to delete it, and could not.
    account.endpoint("left-words-gpu-g5-xl", "left")

    listed = account.run("orphans")
    assert listed.exit_code == 0
    lines = listed.stdout.splitlines()
    assert lines[0] == "stack left-gone-gpu (CREATE_COMPLETE)"
    assert set(lines[1:3]) == {
        "endpoint left-gone-gpu-g6-xl (1 × ml.g6.xlarge), of stack left-gone-gpu",
        "endpoint left-words-gpu-g5-xl (1 × ml.g6.xlarge), of no stack",
    }
    assert unused[:-52] in lines[3]
    assert used[:-52] not in listed.stdout
    assert "left-router" in account.stacks()

    done = account.run("orphans", "--delete", "--yes", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["problems"] == []
    assert not any(json.loads(done.stdout)["left"].values())
    assert not any(name.startswith("left") for name in account.endpoints())
    assert {name for name in account.stacks() if name.startswith("left")} == {
        "left-words-cpu",
        "left-router",
    }
    assert {tag for tag in account.images() if "left" in tag} == {used}
    again = account.run("orphans", "--delete")
    assert again.stdout == (
        "left in us-east-1, account 123456789012: nothing that models.toml does not name\n"
    )


def test_a_deployment_warns_of_stacks_that_left_models_toml(account: Account) -> None:
    account.stack("warned-gone-gpu", "warned", Table=table("warned-gone-gpu"))
    account.stack("warned-intents-gpu", "warned", Table=table("warned-intents-gpu"))
    deployment = Deployment(name="warned", region=REGION, models=(INTENTS,))
    local = account.aws.cloud.credentials()

    def clients(region: str) -> Clients:
        return clients_in(region, local=local)

    assert watch(deployment, "123456789012", clients)() == [
        "warning: stack warned-gone-gpu is not in models.toml any more, and is still paid for; "
        "`turnout orphans --delete` deletes it"
    ]
    [other] = watch(deployment, "210987654321", clients)()
    assert "the app has credentials for account 123456789012" in other


def test_without_credentials_the_next_step_is_said(
    account: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    deployment = Deployment(name="any", region=REGION, models=())
    clients = clients_of(deployment, local=False)
    target = Target(deployment=deployment, images=tmp_path, out=tmp_path, clients=clients)
    with pytest.raises(AwsRefused, match="Unable to locate credentials.*aws configure"):
        target.inventory()
    with pytest.raises(NoLocalCloud, match="turnout up"):
        clients_of(deployment, local=True)
    [line] = watch(deployment, "123456789012")()
    assert line.startswith("note: nobody looked for orphans")


def throttled(account: Account, calls: int, attempts: int) -> tuple[Clients, Callable[[], int]]:
    """Return clients whose first calls of DeleteStack are answered as AWS does when there are too many."""
    made = clients_in(REGION, attempts, account.aws.cloud.credentials())
    seen = 0

    def answer(request: Any, **_: Any) -> AWSResponse | None:
        nonlocal seen
        seen += 1
        if seen > calls:
            return None
        error = "<Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error>"
        body = f"<ErrorResponse>{error}</ErrorResponse>".encode()

        class Raw:
            def stream(self, **_: Any) -> list[bytes]:
                return [body]

        return AWSResponse(request.url, 400, {}, Raw())

    def client(service: str) -> Any:
        found = made(service)
        if service == "cloudformation":
            event = "before-send.cloudformation.DeleteStack"
            found.meta.events.register(event, answer, unique_id="throttled")
        return found

    return client, lambda: seen


def test_a_throttled_call_is_repeated_and_at_last_named(account: Account) -> None:
    account.stack("slow-router", "slow", Table=table("slow-router"))
    deployment = Deployment(name="slow", region=REGION, models=())

    def found(clients: Clients) -> Inventory:
        return take_inventory(deployment, clients, ImagesRecord(), Path("none"))

    clients, seen = throttled(account, calls=9, attempts=2)
    removal = Removal(clients, lambda line: None)
    removal.run(found(clients))
    assert removal.problems == [
        "slow-router: DeleteStack was refused: Rate exceeded; wait a minute, and run it again"
    ]
    assert seen() == 2
    clients, seen = throttled(account, calls=1, attempts=MANY)
    removal = Removal(clients, lambda line: None)
    removal.run(found(clients))
    assert removal.problems == []
    assert seen() == 2
    assert "slow-router" not in account.stacks()


def test_a_name_that_no_deployment_can_have_is_refused(account: Account) -> None:
    done = account.run("orphans", "--deployment", "No Name", "--region", REGION)
    assert done.exit_code == 2
    assert "is no deployment's name" in done.stderr
