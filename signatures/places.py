"""The places of signatures: beside what is signed, so that no byte and no digest of it changes."""

from pathlib import Path

# The name that the format's own tools write a signature to, within the folder that is signed.
WITHIN = "model.sig"
SUFFIX = ".sig"
FOLDER = "signatures"


def artefact_signature(artefact: Path) -> Path:
    """Return the place of the signature of a tier's artefact: `models.out/NAME/signatures/cpu.sig`."""
    return artefact.parent / FOLDER / f"{artefact.name}{SUFFIX}"


def statements_folder(artefact: Path) -> Path:
    """Return the folder of the statements about a tier's artefact: `models.out/NAME/signatures/cpu/`."""
    return artefact_signature(artefact).with_suffix("")


def source_signatures(source: Path) -> tuple[Path, ...]:
    """Return the places where the signature of a source may lie, the one that we write first."""
    beside = source.with_name(source.name + SUFFIX)
    return (beside, source / WITHIN) if source.is_dir() else (beside,)
