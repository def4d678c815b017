"""The files of each image, of the prober and of the sampling function, chosen one by one so that nothing else gets in.

Docker's build contexts are made of them, and the images that need no engine.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from contracts.docs.assets import DOCS_ASSETS
from contracts.manifest import MANIFEST, read_manifest
from contracts.tasks import WRITING_TASKS, Runtime, Tier
from images.base import TABLE, read_table
from images.blob import link_or_copy
from images.dockerfile import pinned
from images.image import DOCKERFILE, LOCK, LOCK_WITHOUT_CUDA, Contents, Files

# Of a file that everybody may read.
READABLE = 0o444
ROOT = Path(__file__).resolve().parent.parent
# unused.txt has what is removed of the packages.
LOCKS = {
    Tier.CPU: (LOCK, "unused.txt"),
    Tier.GPU: (LOCK, LOCK_WITHOUT_CUDA),
}

# The folder of those for OpenVINO.
OPENVINO = "cpu/openvino"

RUNTIME = {Tier.CPU: ("runtime",), Tier.GPU: ()}
# The handler that the Dockerfile of a CPU function names, and that of a model that writes.
WHOLE_ANSWERS, STREAMS = (
    f'CMD ["functions.cpu.{module}.handler"]' for module in ("handler", "streaming")
)


def model_contents(name: str, tier: Tier, artefact: Path) -> Contents:
    return Contents(name=name, files=model_files(tier, artefact), tier=tier)


def without_cuda(contents: Contents) -> Contents:
    """Return the contents of a GPU container that runs on processors, under a name that no stack deploys."""
    dockerfile = f"{contents.dockerfile}ENV TURNOUT_DEVICE=cpu\n".encode()
    lock = contents.files[LOCK_WITHOUT_CUDA]
    return replace(
        contents,
        name=f"{contents.name}-without-cuda",
        files={**contents.files, LOCK: lock, DOCKERFILE: dockerfile},
    )


def router_contents(name: str, routes: str) -> Contents:
    return Contents(name=name, files=router_files(routes))


def model_files(tier: Tier, artefact: Path) -> dict[str, Path | bytes]:
    """Return the files of a tier with the sealed ones of its artefact; any other that lies beside those is left out.

    The CPU function of a model that writes has a handler which streams; that of an encoder which runs on OpenVINO has
    the packages of another lock.
    """
    files: dict[str, Path | bytes] = {
        **_packages("inference", tier, *RUNTIME[tier]),
        **_own(tier, DOCKERFILE, *LOCKS[tier]),
        **_sealed("model", artefact),
    }
    manifest = read_manifest(artefact)
    if manifest.runtime == Runtime.OPENVINO:
        files |= _own(OPENVINO, *LOCKS[tier])
    if tier is Tier.CPU and manifest.task in WRITING_TASKS:
        dockerfile = (ROOT / "functions/cpu" / DOCKERFILE).read_text("utf-8")
        files[DOCKERFILE] = dockerfile.replace(WHOLE_ANSWERS, STREAMS).encode()
    return files


def router_files(routes: str) -> dict[str, Path | bytes]:
    """Return the files of the router, with the routes of one deployment."""
    assets = ROOT / "node_modules/swagger-ui-dist"
    return {
        **_packages("router", "runtime"),
        **_own("router", DOCKERFILE, LOCK),
        **{f"docs/{asset}": assets / asset for asset in DOCS_ASSETS},
        "routes.json": routes.encode(),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """The folder of build contexts. Equal sources give equal contexts, so that assets keep their hashes.

    A Dockerfile names its base by the digest that the table of bases has: another digest is another asset.
    """

    folder: Path
    bases: Path = TABLE

    def image(self, contents: Contents) -> Path:
        """Write the build context of an image; return its folder."""
        digests = {row.image: row.digest for row in read_table(self.bases).values()}
        dockerfile = pinned(contents.dockerfile, digests).encode()
        return self._stage(contents.name, {**contents.files, DOCKERFILE: dockerfile})

    def prober(self, name: str) -> Path:
        source = ROOT / "functions/prober"
        # Lambda's runtime has boto3; the lock file is for the local cloud, which installs what it names.
        files = {file: source / file for file in ("prober.py", "requirements.txt")}
        return self._stage(name, files)

    def sampler(self, name: str) -> Path:
        # As of the prober, whose packages it needs as well.
        lock = {"requirements.txt": ROOT / "functions/prober/requirements.txt"}
        return self._stage(name, {**_packages("sampler"), **lock})

    def observer(self, name: str, settings: Mapping[str, object]) -> Path:
        """Write the code of the observer, with what it observes and where it writes that; return its folder."""
        # The lock file is for the local cloud, as the prober's is: both need boto3 and nothing else.
        files: dict[str, Path | bytes] = {
            "functions/__init__.py": ROOT / "functions/__init__.py",
            **_python(ROOT / "functions/observer", "functions/observer"),
            "contracts/__init__.py": ROOT / "contracts/__init__.py",
            **_python(ROOT / "contracts/states", "contracts/states"),
            "requirements.txt": ROOT / "functions/prober/requirements.txt",
            "targets.json": json.dumps(settings, indent=2, sort_keys=True).encode(),
        }
        return self._stage(name, files)

    def _stage(self, name: str, files: Files) -> Path:
        build_context = self.folder.resolve() / name
        # A file that is no longer staged would otherwise stay in the image.
        shutil.rmtree(build_context, ignore_errors=True)
        for path, source in files.items():
            target = build_context / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(source, bytes):
                target.write_bytes(source)
            else:
                _place(source, target)
        return build_context


def _place(source: Path, target: Path) -> None:
    """Put a file where functions, which run as another user, can read it."""
    # A model is large and staged at every synthesis, but a link has the mode of its file.
    if source.stat().st_mode & READABLE == READABLE:
        link_or_copy(source, target)
    else:
        shutil.copyfile(source, target)
        target.chmod(0o644)


def _packages(*names: str) -> dict[str, Path]:
    """Return the contracts and the named packages of functions, Python files only."""
    files = {"functions/__init__.py": ROOT / "functions/__init__.py"}
    for package in ("contracts", *(f"functions/{name}" for name in names)):
        files |= _python(ROOT / package, package)
    return files


def _python(folder: Path, prefix: str) -> dict[str, Path]:
    # Bytecode is left out: it holds times, so the hash of an unchanged asset would change.
    paths = sorted(folder.rglob("*.py"))
    return {f"{prefix}/{path.relative_to(folder).as_posix()}": path for path in paths}


def _own(name: str, *files: str) -> dict[str, Path]:
    return {file: ROOT / "functions" / name / file for file in files}


def _sealed(prefix: str, artefact: Path) -> dict[str, Path]:
    names = (MANIFEST, *(file.path for file in read_manifest(artefact).files))
    return {f"{prefix}/{name}": artefact / name for name in names}
