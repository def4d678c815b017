"""A build stops where our code does not see a setting that counts: for each honoured key, its own library sees it.

The control of each is the same folder, read whole: its build passes the check.
"""

from pathlib import Path

import pytest

from build.errors import BuildError
from tests.build.reading.mutants.case import Proof, stopped_by, without
from tests.build.reading.mutants.conftest import RecordFault
from tests.build.reading.mutants.every import (
    CASES,
    MUTANTS,
    SURVIVORS,
    UNTRIED,
    WITHOUT,
    is_of_graph,
)
from tests.build.reading.mutants.recorded import tried

TRIED, _ = tried()


def test_every_honoured_setting_has_a_mutant_or_is_listed_without() -> None:
    assert set(UNTRIED) <= WITHOUT.keys()


def test_every_case_is_of_an_honoured_setting() -> None:
    assert {(file, key) for file, of_file in CASES.items() for key in of_file} == set(MUTANTS)
    assert SURVIVORS.keys() <= set(MUTANTS)


@pytest.mark.exhaustive(keep=3)
@pytest.mark.parametrize(("file", "key"), TRIED)
def test_a_build_stops_where_a_setting_is_not_seen(
    tmp_path: Path, record: RecordFault, file: str, key: str
) -> None:
    case = CASES[file][key]
    folder = case.make(tmp_path / "source")
    proof = Proof(case, folder, tmp_path / "proof")
    proof.place.mkdir()
    if case.refused:
        with pytest.raises(BuildError) as caught:
            proof.check("control")
        assert stopped_by(caught.value) == case.refused
    else:
        assert proof.check("control").rows == len(case.rows)
    blind = without(folder, file, key, tmp_path / "blind" / folder.name)
    seen = {"exported" if is_of_graph(file, key) else "read": blind}
    code = ""
    try:
        proof.check("mutant", **seen)
    except BuildError as error:
        code = stopped_by(error)
    record(mutant=f"{file}: {key}", file=file, stopped_by=code)
    assert bool(code) is ((file, key) not in SURVIVORS), code
