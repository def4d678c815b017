"""Faults of roles and their policies."""

from stacks.rules.document import Document
from stacks.rules.functions import FUNCTION
from tests.stacks.mutants.mutation import (
    CPU,
    GPU,
    ROUTER,
    Mutation,
    first,
    lint,
    nag,
    ours,
    resource,
    statement,
)

ROLE, POLICY, MODEL = "AWS::IAM::Role", "AWS::IAM::Policy", "AWS::SageMaker::Model"


def function_before_its_policy(stack: Document) -> None:
    del resource(stack, FUNCTION)["DependsOn"]


def model_before_its_policy(stack: Document) -> None:
    del resource(stack, MODEL)["DependsOn"]


def grant_on_the_function(stack: Document) -> None:
    allowed = statement(stack, "lambda:InvokeFunction")
    arns = allowed["Resource"] if isinstance(allowed["Resource"], list) else [allowed["Resource"]]
    allowed["Resource"] = [arn.removesuffix(":live") for arn in arns]


def grant_without_the_component(stack: Document) -> None:
    allowed = statement(stack, "sagemaker:InvokeEndpoint")
    allowed["Resource"] = [arn for arn in allowed["Resource"] if ":endpoint/" in arn]


def grant_with_capitals(stack: Document) -> None:
    allowed = statement(stack, "sagemaker:InvokeEndpoint")
    allowed["Resource"] = [arn.replace("-gpu-", "-GPU-") for arn in allowed["Resource"]]


def role_that_cannot_pull(stack: Document) -> None:
    allowed = statement(stack, "ecr:BatchGetImage")
    allowed["Action"] = [one for one in allowed["Action"] if one != "ecr:BatchGetImage"]


def any_action_on_the_registry(stack: Document) -> None:
    statement(stack, "ssm:GetParameters")["Action"] = "ssm:*"


def releases_of_anyone(stack: Document) -> None:
    statement(stack, "ssm:GetParameters")["Resource"] = "*"


def role_of_everything(stack: Document) -> None:
    policy = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
    first(stack, ROLE)["ManagedPolicyArns"] = [policy]


def action_misspelt(stack: Document) -> None:
    statement(stack, "ssm:GetParameters")["Action"] = "ssm:GetParametres"


def service_misspelt(stack: Document) -> None:
    trusted = first(stack, ROLE)["AssumeRolePolicyDocument"]["Statement"][0]
    trusted["Principal"] = {"Service": "sagemaker.amazon.com"}


def version_of_no_policy(stack: Document) -> None:
    first(stack, POLICY)["PolicyDocument"]["Version"] = "2012-10-18"


def effect_misspelt(stack: Document) -> None:
    first(stack, POLICY)["PolicyDocument"]["Statement"][0]["Effect"] = "Permit"


def trust_for_any_account(stack: Document) -> None:
    del first(stack, ROLE)["AssumeRolePolicyDocument"]["Statement"][0]["Condition"]


def container_with_a_network(stack: Document) -> None:
    del first(stack, MODEL)["EnableNetworkIsolation"]


MUTATIONS = (
    Mutation(
        spoil=function_before_its_policy,
        stack=CPU,
        account="the first start may not write its log",
        source="https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-dependson.html",
        caught_by=(ours("policies_first"),),
    ),
    Mutation(
        spoil=model_before_its_policy,
        stack=GPU,
        account="CreateModel fails now and then: the role may not pull yet",
        source="https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html",
        caught_by=(ours("policies_first"),),
    ),
    Mutation(
        spoil=grant_on_the_function,
        stack=ROUTER,
        account="the router is denied each model: the grant does not cover the alias",
        source="https://docs.aws.amazon.com/lambda/latest/dg/configuration-aliases.html",
        caught_by=(ours("policy_of_alias"),),
    ),
    Mutation(
        spoil=grant_without_the_component,
        stack=ROUTER,
        account="the router is denied each GPU tier",
        source="https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemakerai.html",
        caught_by=(ours("policy_of_component"),),
    ),
    Mutation(
        spoil=grant_with_capitals,
        stack=ROUTER,
        account="the router is denied each GPU tier: SageMaker writes ARNs in lower case",
        source="https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemakerai.html",
        caught_by=(ours("policy_of_component"), nag("AwsSolutions-IAM5")),
    ),
    Mutation(
        spoil=role_that_cannot_pull,
        stack=GPU,
        account="CreateModel is refused",
        source="https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html",
        caught_by=(ours("role_pulls_image"),),
    ),
    Mutation(
        spoil=any_action_on_the_registry,
        stack=ROUTER,
        account="the router may delete releases",
        source="https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html",
        caught_by=(nag("AwsSolutions-IAM5"),),
    ),
    Mutation(
        spoil=releases_of_anyone,
        stack=ROUTER,
        account="the router may read every parameter of the account",
        source="https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html",
        caught_by=(nag("AwsSolutions-IAM5"),),
    ),
    Mutation(
        spoil=role_of_everything,
        stack=CPU,
        account="the model's function may do what it never needs",
        source="https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html",
        caught_by=(nag("AwsSolutions-IAM4"),),
    ),
    Mutation(
        spoil=action_misspelt,
        stack=ROUTER,
        account="the router is denied its registry",
        source="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html",
        caught_by=(lint("W3037"),),
    ),
    Mutation(
        spoil=service_misspelt,
        stack=CPU,
        account="the function is refused: Lambda cannot assume its role",
        source="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html",
        caught_by=(ours("role_trusted"),),
    ),
    Mutation(
        spoil=version_of_no_policy,
        stack=CPU,
        account="the policy is refused when it is created",
        source="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html",
        caught_by=(lint("E3510"),),
    ),
    Mutation(
        spoil=effect_misspelt,
        stack=CPU,
        account="the policy is refused when it is created",
        source="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html",
        caught_by=(lint("E3510"),),
    ),
    Mutation(
        spoil=trust_for_any_account,
        stack=CPU,
        account="the service may take the role on for another account",
        source="https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html",
        caught_by=(ours("trust_narrowed"),),
    ),
    Mutation(
        spoil=container_with_a_network,
        stack=GPU,
        account="what runs in the container may send texts anywhere",
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModel.html",
        caught_by=(ours("network_isolated"),),
    ),
)
