"""The calibration of an encoder's candidates: the sample of the user's rows that activations are observed on."""

from build.families.family import Rows
from build.families.reference import feeds_of
from build.sources.source import TokenizedSource
from functions.inference.token_batches import Feeds

# Rows a candidate is calibrated on: an even sample. Ranges settle after a few dozen texts.
CALIBRATION_ROWS = 128


def calibration_feeds(source: TokenizedSource, rows: Rows) -> list[Feeds]:
    """Return the feeds of an even sample of the rows."""
    feeds = feeds_of(source, [row.request for row in rows])
    return feeds[:: -(-len(feeds) // CALIBRATION_ROWS)]
