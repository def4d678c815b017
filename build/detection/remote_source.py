"""A model on a hub or in a bucket, by the files that describe it: none of its weights is downloaded."""

from dataclasses import dataclass, replace
from pathlib import Path

from build.detection.described import Described, describe_folder
from build.detection.naming import naming
from build.errors import some_of
from build.samples.facts import compares_pairs
from build.samples.rows import SampleFacts
from build.sources import formats
from build.sources.huggingface.folder import read_described
from build.sources.readers import format_of_file, format_of_folder
from build.sources.remote import RemoteModel as Repository
from build.sources.source import Unusable
from build.tasks.registry import TASKS
from contracts.problems import Code
from contracts.specs import SourceOptions
from contracts.tasks import Task

# Suffixes of files of word vectors; others are told by what they hold.
WORDS = (".vec", ".w2v", ".glove", ".txt", ".bin", ".gz")
# Names of files that a message shows.
MAX_NAMES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteModel:
    """A repository or prefix, or one file in it; `folder` has the files that describe it."""

    named: str
    described: Described
    folder: Path

    @property
    def unseen(self) -> bool:
        """Return whether its format shows nothing of its task and words but in the file itself."""
        return self.described.format_ not in (formats.HUGGING_FACE, formats.GGUF)

    def check(self, task: Task, max_tokens: int | None, options: SourceOptions) -> SampleFacts:
        """Check what its settings show; its weights are checked by the build, which downloads them."""
        if self.described.format_ != formats.HUGGING_FACE:
            return SampleFacts()
        with naming(self.named):
            settings = read_described(self.folder, TASKS[task], max_tokens)
        return SampleFacts(
            mask_token=str(settings.details.get("mask_token", "")),
            pairs=compares_pairs(settings.labels),
        )


def model_of(found: Repository, folder: Path, options: SourceOptions) -> RemoteModel:
    """Return the model that a hub or bucket describes; raise Unusable where its files are none that can be built."""
    format_ = _format_of_file(found.file) if found.file else _format_of(found, options)
    described = Described(format_=format_)
    if format_ in (formats.HUGGING_FACE, formats.ONNX):
        described = describe_folder(folder, format_)
    if found.pipeline_tag:
        card = replace(described.card, pipeline_tag=found.pipeline_tag)
        described = replace(described, card=card)
    described = replace(described, labelled=bool(options.labels))
    return RemoteModel(named=found.pinned, described=described, folder=folder)


def _format_of_file(name: str) -> str:
    if name.endswith(WORDS) and not name.endswith(tuple(formats.SUFFIXES)):
        return formats.WORD_VECTORS
    return format_of_file(name)


def _format_of(found: Repository, options: SourceOptions) -> str:
    """Return the format of a repository; raise Unusable for one without a model, or with several in files."""
    # Files of the repository itself; in its folders there are copies for other libraries.
    names = [name for name in found.names if "/" not in name]
    format_ = format_of_folder(names)
    pickled = not any(name.endswith((".safetensors", ".onnx")) for name in names)
    if format_ == formats.HUGGING_FACE and pickled and not options.allow_pickle:
        raise Unusable(
            Code.PICKLE_REFUSED,
            "its weights are a pickle, which can run code when it is loaded; --pickle has the weights read and "
            "nothing run",
        )
    if format_ != formats.UNRECOGNISED:
        return format_
    files = sorted(name for name in found.names if name.endswith(tuple(formats.SUFFIXES)))
    if files:
        raise Unusable(
            Code.FORMAT_AMBIGUOUS,
            f"holds {some_of(files, MAX_NAMES)}; name one of them: {_one_file(found, files[0])}",
        )
    # An adapter, or a folder that lacks its weights: its reader tells which.
    return formats.HUGGING_FACE


def _one_file(found: Repository, name: str) -> str:
    source, at, commit = found.pinned.partition("@")
    return f"{source}/{name}{at}{commit}"
