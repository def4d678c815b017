"""Faults that any template may have."""

from stacks.rules.document import Document
from stacks.rules.functions import FUNCTION, LOG_GROUP
from tests.stacks.mutants.mutation import CPU, GPU, ROUTER, Mutation, first, lint, model, resource


def reference_to_nothing(stack: Document) -> None:
    first(stack, "AWS::Lambda::Alias")["FunctionName"] = {"Ref": "Nothing"}


def attribute_of_nothing(stack: Document) -> None:
    model = first(stack, "AWS::SageMaker::InferenceComponent")["Specification"]
    model["ModelName"] = {"Fn::GetAtt": ["Model", "Name"]}


def circle(stack: Document) -> None:
    group = next(name for name in stack.of(LOG_GROUP))
    stack.all[group]["DependsOn"] = [next(name for name in stack.of(FUNCTION))]


def property_misspelt(stack: Document) -> None:
    function = first(stack, FUNCTION)
    function["Memory"] = function.pop("MemorySize")


def property_missing(stack: Document) -> None:
    del first(stack, "AWS::SageMaker::Endpoint")["EndpointConfigName"]


def text_for_a_number(stack: Document) -> None:
    first(stack, "AWS::ApiGatewayV2::Stage")["DefaultRouteSettings"] = {
        "ThrottlingRateLimit": 5,
        "ThrottlingBurstLimit": "9/s",
    }


def type_unknown(stack: Document) -> None:
    resource(stack, "AWS::ApiGatewayV2::Stage")["Type"] = "AWS::ApiGatewayV2::Stages"


def condition_unknown(stack: Document) -> None:
    resource(stack, FUNCTION)["Condition"] = "InProduction"


MUTATIONS = (
    Mutation(
        spoil=reference_to_nothing,
        stack=CPU,
        account="the template is refused",
        source="https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html",
        caught_by=(lint("E1020"),),
    ),
    Mutation(
        spoil=attribute_of_nothing,
        stack=GPU,
        account="the template is refused",
        source="https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html",
        caught_by=(lint("E1010"),),
    ),
    Mutation(
        spoil=circle,
        stack=CPU,
        account="the template is refused",
        source="https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-dependson.html",
        caught_by=(lint("E3004"),),
    ),
    Mutation(
        spoil=property_misspelt,
        stack=CPU,
        account="the stack fails when the function is created",
        source="https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html",
        caught_by=(lint("E3002"), model("unknown_member")),
    ),
    Mutation(
        spoil=property_missing,
        stack=GPU,
        account="the stack fails when the endpoint is created",
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpoint.html",
        caught_by=(lint("E3003"),),
    ),
    Mutation(
        spoil=text_for_a_number,
        stack=ROUTER,
        account="the stack fails when the stage is created",
        source="https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html",
        caught_by=(lint("E3012"), model("type")),
    ),
    Mutation(
        spoil=type_unknown,
        stack=ROUTER,
        account="the template is refused",
        source="https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html",
        caught_by=(lint("E3006"), model("unknown_type")),
    ),
    Mutation(
        spoil=condition_unknown,
        stack=CPU,
        account="the template is refused",
        source="https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/conditions-section-structure.html",
        caught_by=(lint("E3015"), lint("W1001")),
    ),
)
