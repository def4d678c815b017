"""The image of the CPU function that the tests of images make."""

from tests.images.conftest import base, cpu_image, table, work

__all__ = ["base", "cpu_image", "table", "work"]
