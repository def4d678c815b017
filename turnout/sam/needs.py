"""The things that SAM cannot be run without: itself, an engine, a local cloud, and images of its very artefacts."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from contracts.problems import Code, Problem, ProblemsFound
from contracts.routes import Routes
from contracts.specs import Deployment
from images.engine.engine import Engine, find_engine
from images.engine.errors import EngineFailed, EngineMissing
from images.oci.reading import Layout
from stacks.contents import contents_of
from stacks.routes.table import make_routes, read_artefacts
from turnout.image.current import current_layouts, functions_of
from turnout.local_deployment import ROOT
from turnout.sam.cloud import FILE, CloudForSam

# Where `make sam` installs it, apart from our packages: its pins are others.
SAM = ROOT / ".turnout/sam/bin/sam"
ENGINE_SETTINGS = ROOT / ".turnout/engine"
FindEngine = Callable[[Path], Engine]


class SamFailed(ProblemsFound):
    """The folder for SAM cannot be written; lists every problem."""

    code = "sam_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The files and folders that are read: `models.toml`, artefacts, images, and the local cloud's own folder."""

    config: Path
    out: Path
    images: Path
    state: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """All that is needed before a folder can be written for SAM, found and checked."""

    program: Path
    cloud: CloudForSam
    engine: Engine
    layouts: Mapping[str, Layout]
    routes: Routes


def sam_program(place: Path = SAM) -> Path | None:
    """Return the SAM command line: the one that `make sam` has installed, else the user's; None if there is neither."""
    found = shutil.which("sam")
    return place if place.exists() else Path(found) if found else None


class Collected:
    """The problems of several steps, so that all are reported at once."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, code: Code, message: str) -> None:
        self.problems.append(Problem(code=code, message=message))

    @contextmanager
    def step(self) -> Iterator[None]:
        """Keep the errors of the block as problems."""
        try:
            yield
        except ProblemsFound as error:
            self.problems += error.problems
        except EngineMissing as error:
            self.add(Code.ENGINE_MISSING, str(error))
        except EngineFailed as error:
            self.add(Code.ENGINE_FAILED, str(error))


def needs(
    deployment: Deployment, places: Places, sam: Path | None, find: FindEngine = find_engine
) -> Needs:
    """Return all that is needed; raise SamFailed with everything that is not there."""
    found = Collected()
    cloud = CloudForSam.load(places.state / FILE)
    if sam is None:
        found.add(
            Code.SAM_MISSING,
            f"SAM is not installed in {SAM.parent}, nor on the path; run `make sam`",
        )
    if cloud is None:
        message = "no local cloud is up that containers can reach; run `turnout up --sam` in another terminal"
        found.add(Code.CLOUD_DOWN, message)
    elif cloud.config != str(places.config.resolve()):
        message = f"the local cloud serves {cloud.config}; name that by --config, or start one with {places.config}"
        found.add(Code.CLOUD_DOWN, message)
    engine, layouts, routes = None, {}, Routes(deployment="", registry="")
    with found.step():
        engine = find(ENGINE_SETTINGS)
    with found.step():
        routes = _routes(deployment, places.out)
        contents = contents_of(deployment, places.out, routes)
        layouts = current_layouts(contents, functions_of(deployment), places.images, routes)
    if found.problems or sam is None or cloud is None or engine is None:
        raise SamFailed("nothing can be written for SAM", found.problems)
    return Needs(program=sam, cloud=cloud, engine=engine, layouts=layouts, routes=routes)


def _routes(deployment: Deployment, out: Path) -> Routes:
    artefacts, problems = read_artefacts(deployment, out)
    if problems:
        raise SamFailed(out, problems)
    return make_routes(deployment, artefacts, {}, out)
