"""The parts of an image that have changed since it was made."""

from images.image import Contents
from images.made.inputs import base_digest, changes, inputs_of
from images.made.record import Made


def changed_parts(contents: Contents, row: Made) -> list[str]:
    """Return the parts that an image has of other contents than would go into it now, its base first."""
    changed = changes(row.inputs, inputs_of(contents))
    now = base_digest(row.base)
    # A base whose digest is not known here is taken to be the same: the image itself is named by its digest.
    if now and now != row.base_digest:
        changed.insert(0, f"base ({row.base})")
    return changed
