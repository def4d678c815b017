"""Templates as they are have no fault that any checker knows; each known fault is caught by exactly those it names."""

import copy
import inspect
import tomllib
from collections.abc import Mapping

import pytest

from contracts import settings
from scripts.real_account import PAGE, filled
from stacks.rules.document import Document, read_document
from stacks.rules.every import RULES, code_of
from tests.fixtures.paths import ROOT
from tests.fixtures.synthesis import Synthesised, of_settings
from tests.stacks.mutants.checkers import by_cdk_nag, by_cfn_lint, by_our_rules, by_service_models
from tests.stacks.mutants.every import MUTATIONS
from tests.stacks.mutants.mutation import SETTINGS, Mutation, ours

ALL = [mutation for of_kind in MUTATIONS.values() for mutation in of_kind]
REGION = "eu-central-1"


def documents(found: Synthesised) -> dict[str, Document]:
    return {name: read_document(found.folder / f"{name}.template.json") for name in found.templates}


@pytest.fixture(scope="module")
def stacks() -> dict[str, Document]:
    """Return the stacks of a deployment that has every setting."""
    return documents(of_settings(SETTINGS))


@pytest.fixture(scope="module")
def mutants(stacks: Mapping[str, Document], request: pytest.FixtureRequest) -> dict[str, Document]:
    """Return a spoilt copy of a stack for each mutation of this run, by its name."""
    chosen: list[Mutation] = [
        item.callspec.params["mutation"]  # type: ignore[misc]
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.originalname == test_a_fault_is_caught_by_exactly_what_it_names.__name__
    ]
    found = {}
    for mutation in chosen:
        found[mutation.name] = copy.deepcopy(stacks[mutation.stack])
        mutation.spoil(found[mutation.name])
    return found


@pytest.fixture(scope="module")
def nagged(
    stacks: Mapping[str, Document],
    mutants: Mapping[str, Document],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, set[str]]:
    """Return what cdk-nag reports of each mutant, and of each stack as it is."""
    return by_cdk_nag({**stacks, **mutants}, tmp_path_factory.mktemp("nagged"))


@pytest.mark.exhaustive(keep=24)
@pytest.mark.parametrize("mutation", ALL, ids=lambda mutation: mutation.name)
def test_a_fault_is_caught_by_exactly_what_it_names(
    mutation: Mutation,
    stacks: Mapping[str, Document],
    mutants: Mapping[str, Document],
    nagged: Mapping[str, set[str]],
) -> None:
    mutant = mutants[mutation.name]
    assert mutant != stacks[mutation.stack]
    found = by_our_rules(mutant) | by_service_models(mutant) | by_cfn_lint(mutant, REGION)
    # Of the same rule a stack has findings that its code acknowledges, told apart by what they are about.
    new = nagged[mutation.name] - nagged[mutation.stack]
    assert found | {code.partition("[")[0] for code in new} == set(mutation.caught_by)


def test_a_deployment_of_every_setting_has_no_fault(stacks: Mapping[str, Document]) -> None:
    for stack in stacks.values():
        assert by_our_rules(stack) | by_service_models(stack) | by_cfn_lint(stack, REGION) == set()


def test_the_example_has_no_fault_in_whatever_account() -> None:
    found = documents(of_settings(ROOT / "models.toml", account=None))
    assert len(found) > 1
    for stack in found.values():
        assert by_our_rules(stack) | by_service_models(stack) == set()
        assert by_cfn_lint(stack, "us-east-1") == set()


def test_the_deployment_of_every_setting_has_every_setting() -> None:
    table = tomllib.loads(SETTINGS.read_text("utf-8"))
    models = list(table["models"].values())
    # No setting of a template: signatures are checked before one is made.
    left_out = {"trusted_keys"}
    assert set(settings.DEPLOYMENT_KEYS) - set(table["deployment"]) == left_out
    # A certificate that is given makes no resource, one that is not makes one.
    domain = set(settings.DOMAIN_KEYS) - set(table["deployment"]["domain"])
    assert domain == {"certificate_arn"}
    assert set(settings.THROTTLE_KEYS) - set(table["deployment"]["throttle"]) == set()
    assert set(settings.MODEL_KEYS) - {key for model in models for key in model} == left_out
    for tier, keys in (
        ("cpu", settings.CPU_KEYS),
        ("gpu", settings.GPU_KEYS),
        ("split", settings.SPLIT_KEYS),
    ):
        used = {key for model in models for key in model.get(tier, {})}
        assert set(keys) - used == set(), f"add it to {SETTINGS.name}"


def test_every_rule_of_ours_catches_a_fault_and_says_what_it_is_for() -> None:
    caught = {code for mutation in ALL for code in mutation.caught_by}
    assert {ours(code_of(rule)) for rule in RULES} - caught == set()
    assert len({code_of(rule) for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert (inspect.getdoc(rule) or "").split()[0] in ("Require", "Forbid"), code_of(rule)


def test_at_least_forty_faults_each_with_a_name_and_a_source_of_its_own() -> None:
    assert len({mutation.name for mutation in ALL}) == len(ALL) >= 40
    assert all(mutation.source.startswith("https://") for mutation in ALL)
    assert all(mutation.caught_by for mutation in ALL)


def test_the_page_has_every_fault() -> None:
    text = PAGE.read_text("utf-8")
    assert filled(text) == text
