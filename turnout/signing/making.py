"""Signatures of what is built, or of what it is built from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from contracts.manifest import BrokenArtefact, verify
from contracts.problems import Code, Problem
from contracts.specs import Deployment, ModelSpec
from signatures.errors import Refused, SigningFailed
from signatures.places import artefact_signature, source_signatures
from signatures.signing import Signer, sign_folder
from turnout.signing.built import EDGE, artefacts

Signed = dict[str, dict[str, Any]]
WHERE = "nothing was signed"


def sign_artefacts(out: Path, models: Sequence[str] | None, signer: Signer) -> Signed:
    """Sign what is built; return the signatures by artefact.

    Raise SigningFailed with every problem, before anything is signed: a key, or an artefact that is not whole.
    """
    _check(signer)
    folders = artefacts(out, models)
    problems = []
    for folder in folders.values():
        try:
            # An edge copy has the artefact among its files, and no manifest of its own.
            if folder.name != EDGE:
                verify(folder)
        except BrokenArtefact as error:
            problems.append(Problem(code=error.code, message=str(error)))
    if problems:
        raise SigningFailed(WHERE, problems)
    return _signed({n: (f, artefact_signature(f)) for n, f in folders.items()}, signer)


def sign_sources(
    deployment: Deployment, out: Path, models: Sequence[str], signer: Signer
) -> Signed:
    """Sign the sources of models; return the signatures by model. Raise SigningFailed with every problem."""
    _check(signer)
    # Reading sources imports onnx, and so takes a second.
    from build.sources.remote import located
    from build.trusted_sources import signed_root

    known = {model.name: model for model in deployment.models}
    message = f"no model of that name in the file; it has {', '.join(known)}"
    problems = [
        Problem(code=Code.MODEL_UNKNOWN, where=name, message=message)
        for name in models
        if name not in known
    ]
    places = {}
    for model in (known[name] for name in models or known if name in known):
        for number, source in enumerate(_sources(model)):
            here, _, problem = located(source, out, pickle=model.source_options.allow_pickle)
            if here is None or problem:
                problems += [problem.within(model.name)] if problem else []
                continue
            root = signed_root(here)
            name = f"{model.name}{' gpu' * number} source"
            places[name] = (root, source_signatures(root)[0])
    if problems:
        raise SigningFailed(WHERE, problems)
    return _signed(places, signer)


def _sources(model: ModelSpec) -> list[Path | str]:
    sources = (model.source, model.gpu.source if model.gpu else None)
    return list(dict.fromkeys(source for source in sources if source))


def _check(signer: Signer) -> None:
    try:
        signer.check()
    except Refused as refused:
        raise SigningFailed(WHERE, [refused.problem]) from refused


def _signed(places: dict[str, tuple[Path, Path]], signer: Signer) -> Signed:
    made: Signed = {}
    problems = []
    for name, (root, signature) in places.items():
        try:
            made[name] = {
                "signature": str(signature),
                "digest": sign_folder(root, signature, signer),
            }
        except Refused as refused:
            problems.append(refused.problem.within(root).within(name))
    if problems:
        raise SigningFailed(f"{len(made)} of {len(places)} were signed", problems)
    return made


def show(made: Signed, console: Console) -> None:
    for name, one in made.items():
        line = f"{name}: {one['signature']}, digest {one['digest'][:12]}"
        console.print(line, markup=False, soft_wrap=True)
