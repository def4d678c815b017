"""Rows as items of DynamoDB, and what they say of copies."""

import pytest

from contracts.states.rows import EXPIRES_AT, CopyCounts, Row, copies_key, wake_key

COPIES = CopyCounts(desired=2, current=1, status="InService")
ROW = Row(key=copies_key("a"), written_at=1.5, expires_at=100.9, document=COPIES.to_document())


def test_a_row_is_read_as_it_was_written_but_for_the_fraction_of_its_expiry() -> None:
    read = Row.from_item(ROW.to_item())
    assert read == Row(key="copies#a", written_at=1.5, expires_at=100.0, document=ROW.document)
    assert CopyCounts.from_document(read.document) == COPIES


def test_the_expiry_is_whole_seconds_since_dynamodb_deletes_by_no_others() -> None:
    assert ROW.to_item()[EXPIRES_AT] == {"N": "100"}


def test_a_row_may_have_a_time_alone() -> None:
    item = {
        "key": {"S": wake_key("a")},
        "written_at": {"N": "3"},
        "expires_at": {"N": "4"},
    }
    assert Row.from_item(item) == Row(key="wake#a", written_at=3.0, expires_at=4.0)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"document": {"S": "[1]"}}, ValueError),
        ({"document": {"S": "{"}}, ValueError),
        ({"written_at": {"N": "then"}}, ValueError),
        ({"written_at": {"S": "1"}}, KeyError),
    ],
    ids=str,
)
def test_an_item_that_is_no_row_is_refused(
    change: dict[str, dict[str, str]], error: type[Exception]
) -> None:
    with pytest.raises(error):
        Row.from_item({**ROW.to_item(), **change})
    with pytest.raises(KeyError):
        CopyCounts.from_document({"desired": 1})
