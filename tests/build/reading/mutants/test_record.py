"""The record of the last run of all mutants is of those that there are, and its page names each survivor."""

from scripts.mutants import NOTHING
from tests.build.reading.mutants.code import FAULTS
from tests.build.reading.mutants.every import MUTANTS, SURVIVORS, WITHOUT
from tests.build.reading.mutants.recorded import of_code, of_settings
from tests.fixtures.paths import ROOT


def test_the_record_is_of_settings_that_there_are_and_has_no_survivor_that_is_not_known() -> None:
    recorded = of_settings()
    assert recorded.keys() <= set(MUTANTS)
    survived = {mutant for mutant, code in recorded.items() if code == NOTHING}
    assert survived == SURVIVORS.keys() & recorded.keys()


def test_the_record_is_of_faults_that_there_are_and_none_survived() -> None:
    recorded = of_code()
    assert recorded.keys() <= FAULTS.keys()
    assert NOTHING not in recorded.values()


def test_the_page_names_each_survivor_and_each_key_without_a_mutant() -> None:
    page = " ".join((ROOT / "docs/mutants.md").read_text("utf-8").split())
    for (file, key), reason in {**SURVIVORS, **WITHOUT}.items():
        assert f"`{key}` of {file}: {reason}" in page
