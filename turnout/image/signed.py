"""The check of `trusted_keys` before a push: an image holds just the files of an artefact that a trusted key signed."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from contracts.names import model_stack
from contracts.problems import Code, Problem
from contracts.specs import ModelSpec
from contracts.tasks import Tier
from images.errors import PushError
from images.oci.files import file_digests
from images.oci.reading import read_layout
from signatures.errors import Refused
from signatures.keys import trusted_keys
from signatures.places import artefact_signature
from signatures.signed import read_signed
from turnout.image.making import Wanted

# The folder of the artefact within an image's working directory.
MODEL = "model"


def check_images(wanted: Wanted, made: Sequence[Mapping[str, Any]]) -> None:
    """Raise PushError with every problem of images of models that name keys that are trusted.

    The artefacts may have changed since the images were made of them, so the images themselves are compared.
    """
    if problems := list(_problems(wanted, {one["image"]: Path(one["folder"]) for one in made})):
        raise PushError("nothing was pushed", problems)


def _problems(wanted: Wanted, folders: Mapping[str, Path]) -> Iterator[Problem]:
    for model in wanted.deployment.models:
        if not model.trusted_keys:
            continue
        for tier in model.tiers:
            name = model_stack(wanted.deployment.name, model.name, tier)
            if name in folders:
                for problem in _of_image(model, tier, wanted.out, folders[name]):
                    yield problem.within(name)


def _of_image(model: ModelSpec, tier: Tier, out: Path, folder: Path) -> list[Problem]:
    keys, problems = trusted_keys(model.trusted_keys)
    if problems:
        return problems
    signature = artefact_signature(out / model.name / tier)
    again = f"`turnout sign {model.name} --key KEY` and `turnout image` again"
    if not signature.is_file():
        message = f"is not there, and trusted are {', '.join(map(str, keys))}; run {again}"
        return [Problem(code=Code.SIGNATURE_MISSING, where=str(signature), message=message)]
    try:
        signed = read_signed(signature, keys)
    except Refused as refused:
        return [refused.problem.within(signature)]
    layout = read_layout(folder)
    working_dir = str(layout.config.get("config", {}).get("WorkingDir", ""))
    held = file_digests(layout, f"{working_dir}/{MODEL}")
    others = {
        path for path in {*held, *signed.digests} if held.get(path) != signed.digests.get(path)
    }
    if not others and signed.plain:
        return []
    message = (
        f"{', '.join(sorted(others)[:5]) or 'its files'} in it differ from what {signed.by} signed"
    )
    return [Problem(code=Code.SIGNATURE_DIFFERS, message=f"{message}; run {again}")]
