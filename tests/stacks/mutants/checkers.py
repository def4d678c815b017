"""The four checkers of a stack: our rules, cfn-lint, cdk-nag and the models of AWS's services."""

import copy
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk.cloudformation_include import CfnInclude
from cdk_nag import AwsSolutionsChecks
from cfnlint.config import ConfigMixIn, ManualArgs
from cfnlint.runner import Runner
from cfnlint.runner.template.runner import run_template_by_data

from stacks.rules.document import Document
from stacks.rules.every import check, code_of
from tests.stacks.mutants.mutation import lint, model, nag, ours
from tests.stacks.mutants.service_models import differences

# W3005: a dependency that is implied already; ours are explicit because they matter.
IGNORED = ["W3005"]


def by_our_rules(stack: Document) -> set[str]:
    return {ours(code_of(rule)) for rule, _ in check(stack)}


def by_service_models(stack: Document) -> set[str]:
    return {model(one.rule) for one in differences(stack)}


@cache
def _runner(region: str) -> Runner:
    """Return cfn-lint with its rules loaded, which takes longer than a template."""
    return Runner(ConfigMixIn(**ManualArgs(regions=[region], ignore_checks=IGNORED)))


def by_cfn_lint(stack: Document, region: str) -> set[str]:
    runner = _runner(region)
    # It marks what it has read, so that it gets a document of its own.
    template = copy.deepcopy(stack.template)
    return {
        lint(match.rule.id) for match in run_template_by_data(template, runner.config, runner.rules)
    }


def by_cdk_nag(stacks: Mapping[str, Document], folder: Path) -> dict[str, set[str]]:
    """Return what cdk-nag reports of each stack, in one app, since it takes seconds to start.

    What a stack's code acknowledges is not in its template, and is reported here: of a mutant, all else counts.
    A template that the CDK cannot read has no report.
    """
    app = cdk.App(outdir=str(folder / "cdk.out"))
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    names = {}
    for number, (name, document) in enumerate(stacks.items()):
        path = folder / f"{number}.json"
        path.write_text(json.dumps(document.template), "utf-8")
        if _include(app, f"s{number}", path):
            names[f"s{number}"] = name
    try:
        app.synth()
    except RuntimeError as error:
        if "ValidationFailed" not in str(error):
            raise
    found: dict[str, set[str]] = {name: set() for name in stacks}
    for included, rule in _violations(folder / "cdk.out/validation-report.json"):
        found[names[included]].add(nag(rule))
    return found


def _include(app: cdk.App, name: str, template: Path) -> bool:
    # The template has the parameter and the rule of the default synthesizer already.
    stack = cdk.Stack(app, name, synthesizer=cdk.LegacyStackSynthesizer())
    try:
        CfnInclude(stack, "Template", template_file=str(template))
    except RuntimeError:
        app.node.try_remove_child(name)
        return False
    return True


def _violations(report: Path) -> Iterator[tuple[str, str]]:
    """Yield the stack and the rule of each violation."""
    document: Any = json.loads(report.read_text("utf-8"))
    # The CDK has a copy of some of cfn-lint's rules, which warn and stop nothing.
    of_nag = (one for one in document["pluginReports"] if one["pluginName"] == "AwsSolutions")
    for plugin in of_nag:
        for violation in plugin["violations"]:
            for construct in violation["violatingConstructs"]:
                yield construct["constructPath"].split("/")[0], violation["ruleName"]
