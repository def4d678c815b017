"""The folder of the checkout, which child processes run in and files outside of this package are read from."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
