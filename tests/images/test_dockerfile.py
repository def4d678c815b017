"""Dockerfiles are read as Docker reads them."""

from images.dockerfile import instructions

TEXT = r"""# a comment
from base:1

ENV A=1
RUN one \
# a comment between two lines that continue each other
 && two
CMD ["a b", "c"]
"""


def test_instructions_come_in_order_without_comments_and_with_continued_lines_joined() -> None:
    assert instructions(TEXT) == [
        ("FROM", "base:1"),
        ("ENV", "A=1"),
        ("RUN", "one   && two"),
        ("CMD", '["a b", "c"]'),
    ]
