"""The page docs/settings.md, made of the table.

`python -m build.sources.huggingface.settings.page` prints it.
"""

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby

from build.sources.huggingface.code_settings import RULES
from build.sources.huggingface.settings.setting import GRAPH, Effect, Setting
from build.sources.huggingface.settings.table import TABLE

HEAD = """# Settings of a model

A model's folder says in its JSON files how the model is to be used, and a build reads them all. This page lists every
key at the top of these files that transformers 5.24 or sentence-transformers 6.2 knows for the architectures that are
served:

- **honoured**: the artefact answers as the library does with that value. The code that reads the key is named; a key of
  the model itself is read by its library when the graph is exported.
- **harmless**: no value changes an answer, for the reason that is given.
- **refused**: the build stops before it exports anything, names all such keys at once (`setting_unsupported`), and says
  what to do; the values that are fine are listed.

A key that is not on this page does not stop a build: `turnout build` names it with its file, as do the evidence and its
page. Settings by which a library would run code or fetch something are refused wherever they stand (`code_refused`):
"""
OTHER_NAMES = {
    "sentence_bert_config.json": "also under the names of older releases: `sentence_roberta_config.json`, "
    "`sentence_distilbert_config.json`, `sentence_camembert_config.json`, `sentence_albert_config.json`, "
    "`sentence_xlm-roberta_config.json`, `sentence_xlnet_config.json`",
    "1_Pooling/config.json": "in whatever folder `modules.json` names",
    "2_Dense/config.json": "in whatever folder `modules.json` names",
    "2_Normalize/config.json": "in whatever folder `modules.json` names",
    "1_LogitScore/config.json": "in whatever folder `modules.json` names",
}


def page() -> str:
    """Return the text of docs/settings.md."""
    codes = ", ".join(f"`{key}`" for key in RULES)
    lines = [f"{HEAD}{codes}; [security](security.md) explains each."]
    for file, settings in TABLE.items():
        lines += ["", f"## {file}"]
        if file in OTHER_NAMES:
            lines += [OTHER_NAMES[file].capitalize() + ".", ""]
        lines += ["| keys | effect | why |", "|---|---|---|", *_rows(settings)]
    return "\n".join(lines) + "\n"


def _rows(settings: Sequence[Setting]) -> Iterator[str]:
    def shared(setting: Setting) -> tuple[object, ...]:
        return setting.effect, setting.why, setting.read_by, setting.fine, setting.advice

    for _, group in groupby(settings, key=shared):
        alike = list(group)
        keys = ", ".join(f"`{setting.key}`" for setting in alike)
        yield f"| {keys} | {alike[0].effect} | {_why(alike[0])} |"


def _why(setting: Setting) -> str:
    match setting.effect:
        case Effect.HONOURED:
            by = setting.read_by if setting.read_by == GRAPH else f"`{setting.read_by}`"
            return f"{setting.why} Read by {by}."
        case Effect.HARMLESS:
            return setting.why
    fine = ", ".join(f"`{str(v).lower() if isinstance(v, bool) else v}`" for v in setting.fine)
    allowed = f" Fine: {fine}." if fine else ""
    return f"It {setting.why}: {setting.advice}.{allowed}"


if __name__ == "__main__":
    sys.stdout.write(page())
