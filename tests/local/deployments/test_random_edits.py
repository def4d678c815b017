"""Random edits of `models.toml`, deployed one after the other under traffic: nobody notices, and nothing is left."""

import logging
import os
import shutil
import time
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from contracts.manifest import read_manifest
from contracts.models_toml import read_models_toml
from contracts.specs import Deployment
from contracts.tasks import Tier
from tests.conftest import PROVE, SEED
from tests.fixtures.local_cloud_client import LocalCloudClient
from tests.fixtures.models.tiny import WORDS, Tiny, artefact
from tests.fixtures.synthesis import KEY, inputs, synthesise
from tests.local.deployments.edits import FIRST, Editor, Table, Tables
from tests.local.deployments.in_process import Assembly, InProcess
from tests.local.deployments.traffic import Target, Traffic
from tests.local.test_order import left
from turnout.client import Endpoint

log = logging.getLogger(__name__)
EDITS = 20 if os.environ.get(PROVE) else 5
DEPLOYMENT = '[deployment]\nname = "shop"\nthrottle = { rate = 1000, burst = 2000 }\n'
# The longest that a deployment of tiny models may take: one that waits for itself never ends.
DEADLOCK_S = 120


@dataclass(slots=True, kw_only=True)
class Folder:
    """A user's folder, with the artefacts of every version that was ever built."""

    path: Path
    built: dict[tuple[str, str, int], Path] = field(default_factory=dict)

    def write(self, tables: Tables) -> Deployment:
        """Write `models.toml` and the artefacts that it asks for, and read it as every command does."""
        (self.path / "source").mkdir(exist_ok=True)
        (self.path / "rows.jsonl").write_text('{"text": "lovely", "label": "good"}\n', "utf-8")
        text = "\n".join([DEPLOYMENT, *(table.text() for table in tables)])
        (self.path / "models.toml").write_text(text, "utf-8")
        shutil.rmtree(self.path / "models.out", ignore_errors=True)
        for table in tables:
            for target in targets_of((table,)):
                built = self.build(table, target.tier)
                place = self.path / "models.out" / table.name / target.tier
                shutil.copytree(built, place, copy_function=os.link)
        return read_models_toml(self.path / "models.toml")

    def build(self, table: Table, tier: str) -> Path:
        """Return the sealed artefact of the version that a table has of a tier."""
        number = table.cpu if tier == Tier.CPU else table.gpu
        key = table.name, tier, number
        if key not in self.built:
            # Another number, another weight, other bytes.
            words = {**WORDS, "lovely": (0.0, 2.0 + number / 100, 0.0)}
            tiny = Tiny(model=table.name, tier=Tier(tier), words=words)
            self.built[key] = artefact(self.path / "built" / "-".join(map(str, key)), tiny)
        return self.built[key]

    def version(self, target: Target) -> str:
        return read_manifest(self.path / "models.out" / target.model / target.tier).version


def targets_of(tables: Tables) -> list[Target]:
    return [
        Target(model=table.name, tier=tier)
        for table in tables
        for tier in ("cpu", "gpu")
        if tier == "cpu" or table.gpu
    ]


def answering(folder: Folder, target: Target) -> set[str]:
    """Return the versions that may answer: a GPU tier that is not there for a moment is answered for by the CPU's."""
    return {folder.version(target), folder.version(replace(target, tier="cpu"))}


@dataclass(slots=True, kw_only=True)
class User:
    """A user who deploys a folder, and the callers of what is deployed."""

    folder: Folder
    cdk: InProcess
    traffic: Traffic
    deployments: int = 0

    def deploy(self, tables: Tables) -> None:
        """Deploy the folder as the CDK does, and delete the stacks that it no longer names."""
        deployment = self.folder.write(tables)
        self.deployments += 1
        outdir = self.folder.path / f"cdk.out{self.deployments}"
        synthesise(inputs(self.folder.path, deployment), outdir)
        assembly = Assembly.read(outdir)
        self.cdk.deploy(assembly)
        for orphan in [name for name in self.cdk.deployed if name not in assembly.stacks]:
            self.cdk.destroy(orphan)

    def down(self) -> None:
        for stack in reversed(list(self.cdk.deployed)):
            self.cdk.destroy(stack)


def test_random_edits_leave_every_model_answering_and_nothing_behind(
    local_cloud: LocalCloudClient, tmp_path: Path
) -> None:
    cdk = InProcess(client=local_cloud)
    cdk.bootstrap()
    before = left(local_cloud)
    cloud = local_cloud.cloud
    endpoint = Endpoint(url=cloud.url, key=KEY, ca_file=str(cloud.ca_file))
    user = User(folder=Folder(path=tmp_path), cdk=cdk, traffic=Traffic(endpoint=endpoint))
    tables, done = FIRST, []
    user.deploy(tables)
    for edit in islice(Editor(f"{os.environ[SEED]} edits").edits(tables), EDITS):
        done.append(edit.said)
        # Callers of what is there before and behind it; of a tier that is removed or added nobody can be answered.
        stay = [target for target in targets_of(tables) if target in targets_of(edit.tables)]
        versions = {target: answering(user.folder, target) for target in stay}
        user.traffic.start(stay)
        begin = time.monotonic()
        try:
            user.deploy(edit.tables)
            took_s = time.monotonic() - begin
            user.traffic.wait(stay)
        finally:
            answers = user.traffic.stop()
        tables = edit.tables
        said = f"{SEED}={os.environ[SEED]}: {' > '.join(done)}"
        assert took_s < DEADLOCK_S, said
        for target in stay:
            versions[target] |= answering(user.folder, target)
        failed = [
            one for one in answers if one.status != 200 or one.said not in versions[one.target]
        ]
        assert failed == [], said
        asked = {target: sum(one.target == target for one in answers) for target in stay}
        assert min(asked.values()) >= 2, (said, asked)
        log.info("%s: %.1f s, %s requests", edit.said, took_s, len(answers))
        # Behind it, every tier that the file names answers with the version that was built of it, if need be once the
        # router asks it again: on a busy machine a GPU tier that was replaced may count as failing for a while.
        for target in targets_of(tables):
            last = user.traffic.until(target, user.folder.version(target))
            assert (last.status, last.said) == (200, user.folder.version(target)), said
    user.down()
    assert left(local_cloud) == before
    assert [process.name for process in cloud.processes()] == ["local cloud"]
