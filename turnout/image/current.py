"""Images that were made of the very files that would go into them now, apart from keys."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from contracts.names import model_stack, router_stack
from contracts.problems import Code, Problem, ProblemsFound
from contracts.routes import Routes
from contracts.specs import Deployment
from contracts.tasks import Tier
from images.errors import ImageError
from images.image import Contents
from images.made.changes import changed_parts
from images.made.inputs import PARTS
from images.made.record import Made, read_record
from images.oci.filesystem import file_of
from images.oci.reading import Layout, read_layout

ROUTES = "var/task/routes.json"
ROUTES_PART = dict(PARTS)["routes.json"]


def functions_of(deployment: Deployment) -> tuple[str, ...]:
    """Return the names of the functions that are images: the router's, and those of the CPU tiers."""
    models = (
        model_stack(deployment.name, model.name, Tier.CPU)
        for model in deployment.models
        if model.cpu
    )
    return (router_stack(deployment.name), *models)


def current_layouts(
    contents: Sequence[Contents], names: Sequence[str], images: Path, routes: Routes
) -> dict[str, Layout]:
    """Return the named images of a deployment with those contents and routes, after checking every byte.

    Raise ImageError for all that are not there, or of which a part changed, with the commands that make them.
    """
    record = read_record(images).made
    layouts: dict[str, Layout] = {}
    problems: list[Problem] = []
    for one in contents:
        if one.name not in names:
            continue
        try:
            layouts[one.name] = _layout(one, images, record.get(one.name), routes)
        except ProblemsFound as error:
            problems += error.problems
    if problems:
        raise ImageError(images, problems)
    return layouts


def _layout(contents: Contents, images: Path, row: Made | None, routes: Routes) -> Layout:
    name, folder = contents.name, images / contents.name
    if not folder.is_dir():
        message = f"{folder} is not there; run `turnout image {name}`"
        raise ImageError(folder, [Problem(code=Code.IMAGE_MISSING, message=message)])
    layout = read_layout(folder)
    if changed := _changed(contents, layout, row, routes):
        base = f"--base {row.base} " if row else ""
        parts = " and ".join(changed)
        message = (
            f"{folder}: its {parts} changed since it was made; run `turnout image {base}{name}`"
        )
        raise ImageError(folder, [Problem(code=Code.IMAGE_STALE, message=message)])
    return layout


def _changed(contents: Contents, layout: Layout, row: Made | None, routes: Routes) -> list[str]:
    """Return the parts of an image that are others by now; keys are no such part, since they are put above it."""
    if row is None or row.digest != layout.descriptors[0]["digest"]:
        return ["record"]
    changed = [part for part in changed_parts(contents, row) if part != ROUTES_PART]
    text = file_of(layout, ROUTES)
    if text is not None:
        made = replace(Routes.from_json(text.decode()), key_hashes={})
        changed += ["routes"] if made != replace(routes, key_hashes={}) else []
    return changed
