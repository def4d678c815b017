"""README.txt of an edge copy: the packages to install, requests to start from, the parameters of the task."""

import json
import shlex
from collections.abc import Iterator, Sequence

from build.tasks.description import FamilyName
from build.tasks.registry import TASKS
from build.workspace.checkout import ROOT
from contracts.api.registry import APIS
from contracts.api.task_api import Parameter
from contracts.manifest import Manifest
from functions.inference.tasks import head_of

# The copy runs the code of the endpoint's image, so it takes the versions that are pinned there.
REQUIREMENTS = ROOT / "functions/cpu/requirements.in"
PACKAGES = ("onnxruntime", "tokenizers", "numpy")
# The mask token of the API's example; models have others.
MASK = "[MASK]"
TEXT = """{title}.

Copy this folder to where Python 3.11 or newer is{where}, then:

    pip install {packages}
{commands}
    python {program} < lines.txt

An argument, or a line of standard input, is
  a request as the endpoint takes it, if it begins with {{
  a text in JSON, if it begins with "
  a text as it stands, otherwise.
Each is answered by a line of JSON: {{"outputs": [...]}} as the endpoint answers it, or {{"problem": {{...}}}},
whose "detail" says what to change. The exit status is 1 if there was a problem.

{parameters}

{program} holds the endpoint's own code (Turnout, Apache-2.0). Before it answers, it checks the SHA-256 of
every file that manifest.json names.
"""


def readme(manifest: Manifest, program: str) -> str:
    licence = manifest.provenance.get("licence")
    title = f"{manifest.model} {manifest.version}: {manifest.task}, {manifest.recipe}"
    lines = [
        f"  {parameter.name}{' (required)' * parameter.required}: {parameter.description}"
        for parameter in parameters(manifest)
    ]
    return TEXT.format(
        # Its operators are compiled for no other system.
        where=", on Linux, on x86-64 or arm64" if manifest.has_kernels else "",
        title=f"{title}, licence {licence}" if licence else title,
        packages=" ".join(_packages(manifest)),
        commands="\n".join(f"    python {program} {example}" for example in _examples(manifest)),
        program=program,
        parameters="\n".join(["Parameters:", *lines]) if lines else "There are no parameters.",
    )


def parameters(manifest: Manifest) -> Sequence[Parameter]:
    """Return the parameters that a request to the model may have."""
    try:
        known = head_of(manifest.task).parameters
    except KeyError:  # not a task of encoders, whose heads alone depend on the model
        known = None
    return known(manifest) if known else APIS[manifest.task].parameters


def _examples(manifest: Manifest) -> Iterator[str]:
    """Yield arguments of a command line: a text where that is a request, and a request in JSON."""
    api = APIS[manifest.task]
    request = dict(api.example.request)
    first = request["inputs"][0]
    if isinstance(first, str) and not any(one.required for one in api.parameters):
        yield shlex.quote(_with_mask(first, manifest))
    yield shlex.quote(_with_mask(json.dumps(request, ensure_ascii=False), manifest))


def _with_mask(text: str, manifest: Manifest) -> str:
    """Return an example with the model's own mask token."""
    token = str(manifest.details.get("mask_token", MASK))
    return text.replace(MASK, token)


def _packages(manifest: Manifest) -> Iterator[str]:
    """Yield the packages with their versions; words are looked up without a tokenizer."""
    pinned = dict(
        line.split("==") for line in REQUIREMENTS.read_text("utf-8").splitlines() if "==" in line
    )
    words = TASKS[manifest.task].family is FamilyName.WORD_VECTORS
    template = ("jinja2",) if manifest.chat else ()
    for package in (*PACKAGES, *template):
        if not (package == "tokenizers" and words):
            yield f"{package}=={pinned[package]}"
