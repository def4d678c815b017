"""The comparison of a folder with what is signed: every file signed, every signed file there, every byte the same."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path, PurePath, PurePosixPath

from contracts.problems import Code
from signatures.errors import Refused
from signatures.keys import TrustedKey
from signatures.places import WITHIN
from signatures.signed import Signed, read_signed

# Left out by every tool of the format, at the top of a folder only.
GIT = (".git", ".gitattributes", ".github", ".gitignore")
# What the hub's client notes of a download, another on each machine.
HUB_CACHE = ".cache/huggingface"
# Names that a message shows.
MAX_NAMES = 5
# The library's name of a model that is one file.
ONE_FILE = "."


def present(root: Path) -> dict[str, Path]:
    """Return the files of a model by their names in a signature; raise Refused for links to folders.

    Those of git and of the hub's client, and the signature itself, are no part of it.
    """
    if root.is_file():
        return {ONE_FILE: root}
    found = {}
    for path in sorted(root.rglob("*")):
        within = path.relative_to(root)
        if within.parts[0] in GIT or within == PurePath(WITHIN) or within.is_relative_to(HUB_CACHE):
            continue
        if path.is_symlink() and path.is_dir():
            message = (
                f"has a link to a folder, {within}, whose files cannot be signed; copy them into it"
            )
            raise Refused(Code.SIGNATURE_DIFFERS, message)
        if not path.is_dir():
            found[within.as_posix()] = path
    return found


def check_folder(
    root: Path,
    signature: Path,
    keys: Sequence[TrustedKey],
    needed: Callable[[str], bool] = lambda name: True,
    read: Callable[[str], bool] = lambda name: True,
) -> Signed:
    """Return what a signature says of a folder or file, which holds just that; raise Refused.

    `needed` says whether a signed file has to be there. `read` says whether anything reads a file: one that is read has
    to be signed, even if the signer names it among those that are left out.
    """
    signed = read_signed(signature, keys)
    wanted, found = _entries(signed, root), present(root)
    files = {_file(entry, signed) for entry in wanted}
    now = digests(root, [path for name, path in found.items() if name in files], signed)
    changed = {
        _file(entry, signed) for entry in {*now, *wanted} if now.get(entry) != wanted.get(entry)
    }
    problems = (
        (
            "is not signed",
            {name for name in found.keys() - files if read(name) or not _left_out(name, signed)},
        ),
        ("is missing", {name for name in files - found.keys() if needed(name)}),
        ("is not the file that was signed", changed & found.keys()),
    )
    if what := [f"{_some(names, root)} {verb}" for verb, names in problems if names]:
        message = f"does not hold what {signed.by} signed: {'; '.join(what)}"
        next_step = "restore what was signed, or sign again what is there"
        raise Refused(Code.SIGNATURE_DIFFERS, f"{message}; {next_step}")
    return signed


def _entries(signed: Signed, root: Path) -> dict[str, str]:
    """Return the digests of a signature by the library's names; raise Refused for a file outside of the folder."""
    if root.is_file() and list(signed.digests) == [root.name]:
        # The specification names a single file by its own name, and the library by a dot.
        return {ONE_FILE: signed.digests[root.name]}
    for entry in signed.digests:
        file = PurePosixPath(_file(entry, signed))
        if file.is_absolute() or ".." in file.parts:
            message = f"names the file {str(file)!r}, which is not within the folder; sign again"
            raise Refused(Code.SIGNATURE_INVALID, message)
    return dict(signed.digests)


def _file(entry: str, signed: Signed) -> str:
    """Return the file that an entry is about: a whole one, or a range of its bytes."""
    return entry.rsplit(":", 2)[0] if signed.settings["method"] == "shards" else entry


def _left_out(name: str, signed: Signed) -> bool:
    """Return True for a file that the signer has left out, by its path or that of a folder above it."""
    left_out = {str(PurePosixPath(path)) for path in signed.settings.get("ignore_paths", ())}
    return not left_out.isdisjoint(map(str, (PurePosixPath(name), *PurePosixPath(name).parents)))


def digests(root: Path, files: Sequence[Path], signed: Signed) -> dict[str, str]:
    """Return the digests of files, or of their parts, as the signature has them; raise Refused for links."""
    from model_signing.hashing import Config

    settings, config = signed.settings, Config()
    # Signatures have another name for one of them than the parameter, and numbers in them come back as floats.
    algorithm = settings["hash_type"].replace("blake2b", "blake2")
    if settings["method"] == "shards":
        config.use_shard_serialization(
            hashing_algorithm=algorithm, shard_size=int(settings["shard_size"])
        )
    else:
        config.use_file_serialization(hashing_algorithm=algorithm)
    # Signatures of the format's first release have the text "false" there.
    config.set_allow_symlinks(settings["allow_symlinks"] is True)
    config.set_ignored_paths(paths=(), ignore_git_paths=False)
    try:
        manifest = config.hash(root, files_to_hash=files)
    # The library's error for a link where none was signed, and for a kind of digest that it does not have.
    except ValueError as error:
        raise Refused(Code.SIGNATURE_DIFFERS, f"cannot be compared: {error}; sign again") from error
    return {one.identifier: one.digest.digest_hex for one in manifest.resource_descriptors()}


def _some(names: Collection[str], root: Path) -> str:
    if names == {ONE_FILE}:
        return root.name
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(sorted(names)[:MAX_NAMES]) + more
