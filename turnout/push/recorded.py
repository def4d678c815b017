"""The record of a model on its endpoint, told in a sentence: of these weights and rows, or of others."""

from pathlib import Path
from typing import Any

from contracts.manifest import Manifest, file_sha256
from stacks.weights.proved import read_record


def recorded(out: Path, manifest: Manifest, rows: Path) -> tuple[bool, str]:
    """Return whether an artefact is proved, and the sentence that says by what, or why it is not."""
    record = read_record(out, manifest.model)
    verify = f"`turnout verify {manifest.model} --tier gpu`"
    if record is None:
        return (
            False,
            f"not proved on this machine: deploy it by `npx cdk deploy --all`, then run {verify}",
        )
    if record["digest"] != manifest.digest:
        of = f"the record of {record['date']} is of version {record['version']}"
        return False, f"not proved: {of}; deploy it by `npx cdk deploy --all`, then run {verify}"
    found = f"on {record['date']} its endpoint answered {_shares(record)}"
    if not record["holds"]:
        return False, f"not proved: {found}; see to that, then run {verify}"
    if rows.is_file() and file_sha256(rows) == record["eval"]:
        return True, f"proved: {found}"
    return True, f"proved: {found}, and the rows are others now; {verify} asks it for these"


def _shares(record: dict[str, Any]) -> str:
    answered = f"{record['answered']} of {record['rows']} rows"
    if record["as_the_rows_say"] is None:
        return answered
    return f"{answered}, {record['as_the_rows_say']:.1%} of {record['compared']} as the rows say"
