"""Dockerfiles are read as Docker reads them."""

from images.dockerfile import instructions, pinned, settings_of
from images.oci.layout import Settings

TEXT = r"""# a comment
from base:1

ENV A=1
LABEL a.b="c d"
RUN one \
# a comment between two lines that continue each other
 && two
CMD ["a b", "c"]
"""


def test_instructions_come_in_order_without_comments_and_with_continued_lines_joined() -> None:
    assert instructions(TEXT) == [
        ("FROM", "base:1"),
        ("ENV", "A=1"),
        ("LABEL", 'a.b="c d"'),
        ("RUN", "one   && two"),
        ("CMD", '["a b", "c"]'),
    ]


def test_settings_are_those_of_the_base_where_the_dockerfile_has_none() -> None:
    base = Settings(environment={"A": "0", "B": "2"}, entrypoint=("/start",), command=("base",))
    assert settings_of(TEXT, base) == Settings(
        environment={"A": "1", "B": "2"},
        entrypoint=("/start",),
        command=("a b", "c"),
        labels={"a.b": "c d"},
    )


def test_another_program_does_not_get_the_arguments_of_the_bases() -> None:
    base = Settings(entrypoint=("/start",), command=("base",))
    text = 'WORKDIR /opt\nENTRYPOINT ["python", "-m", "x"]\n'
    assert settings_of(text, base) == Settings(
        working_dir="/opt", entrypoint=("python", "-m", "x"), command=()
    )


def test_bases_with_a_known_digest_are_named_by_it_and_others_as_they_were() -> None:
    text = "FROM base:1\nFROM other:1\nRUN echo FROM base:1\n"
    assert pinned(text, {"base:1": "sha256:0a", "other:1": ""}) == text.replace(
        "FROM base:1\nFROM", "FROM base:1@sha256:0a\nFROM"
    )
    assert instructions(pinned("FROM base:1", {"base:1": "sha256:0a"})) == [
        ("FROM", "base:1@sha256:0a")
    ]
