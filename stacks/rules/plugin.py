"""The rules as a validation plugin of the CDK, so that what they find stops a synthesis as cdk-nag does."""

import inspect
from pathlib import Path

import aws_cdk as cdk
import jsii

from stacks.rules.document import read_document
from stacks.rules.every import check, code_of
from stacks.rules.finding import Finding, Rule

NAME = "turnout"


@jsii.implements(cdk.IPolicyValidationPlugin)
class Rules:
    """Every rule, on every template of an app."""

    @property
    def name(self) -> str:
        return NAME

    def validate(self, context: cdk.IPolicyValidationContext) -> cdk.PolicyValidationPluginReport:
        """Return a report of what the rules find in the templates."""
        violations = [
            _violation(rule, finding, path)
            for path in context.template_paths
            for rule, finding in check(read_document(Path(path)))
        ]
        return cdk.PolicyValidationPluginReport(success=not violations, violations=violations)


def _violation(rule: Rule, finding: Finding, template: str) -> cdk.PolicyViolation:
    return cdk.PolicyViolation(
        rule_name=code_of(rule),
        description=finding.message,
        fix=(inspect.getdoc(rule) or "").splitlines()[0],
        violating_resources=[
            cdk.PolicyViolatingResource(
                resource_logical_id=finding.resource,
                template_path=template,
                locations=[finding.place],
            )
        ],
    )
