"""The template has the functions and the API of a deployment, as the stacks have them."""

from pathlib import Path

from contracts.limits import ROUTER_MEMORY_MB, ROUTER_TIMEOUT_S
from contracts.specs import CpuSpec, Deployment, GpuSpec, ModelSpec
from contracts.tasks import Task
from turnout.image.current import functions_of
from turnout.sam.template import API, image_tag, logical_id, template

SOURCE = Path("nowhere")


def model(name: str, cpu: CpuSpec | None = None, gpu: GpuSpec | None = None) -> ModelSpec:
    task = Task.TEXT_CLASSIFICATION
    return ModelSpec(name=name, source=SOURCE, task=task, eval=SOURCE, cpu=cpu, gpu=gpu)


SHOP = Deployment(
    name="shop",
    models=(
        model("intents", CpuSpec(memory_mb=3008, timeout_s=7, max_inputs=5)),
        model("large", gpu=GpuSpec(instance="ml.g6.xlarge")),
    ),
)


def test_functions_have_the_settings_of_their_tier() -> None:
    resources = template(SHOP)["Resources"]
    assert functions_of(SHOP) == ("shop-router", "shop-intents-cpu")
    assert set(resources) == {API, *(logical_id(name) for name in functions_of(SHOP))}
    router, intents = (resources[logical_id(name)]["Properties"] for name in functions_of(SHOP))
    assert (router["MemorySize"], router["Timeout"]) == (ROUTER_MEMORY_MB, ROUTER_TIMEOUT_S)
    assert (intents["MemorySize"], intents["Timeout"]) == (3008, 7)
    assert intents["Environment"]["Variables"]["TURNOUT_MAX_INPUTS"] == "5"
    assert intents["ImageUri"] == image_tag("shop-intents-cpu") == "shop-intents-cpu:sam"
    assert "Events" not in intents


def test_every_path_goes_to_the_router_by_one_route() -> None:
    router = template(SHOP)["Resources"][logical_id("shop-router")]["Properties"]
    assert router["Events"] == {"Api": {"Type": "HttpApi", "Properties": {"ApiId": {"Ref": API}}}}


def test_bodies_that_are_no_text_reach_the_router() -> None:
    definition = template(SHOP)["Resources"][API]["Properties"]["DefinitionBody"]
    assert definition["x-amazon-apigateway-binary-media-types"] == ["*/*"]


def test_every_function_can_be_told_where_the_local_cloud_is() -> None:
    resources = template(SHOP)["Resources"]
    for name in functions_of(SHOP):
        # SAM sets no variable that a template does not declare.
        assert (
            resources[logical_id(name)]["Properties"]["Environment"]["Variables"][
                "AWS_ENDPOINT_URL"
            ]
            == ""
        )


def test_logical_ids_are_letters_and_digits_and_differ_where_names_do() -> None:
    names = ["a-1", "a1", "a-n1", "an1", "a-n-1", "ax1", "a-x1"]
    assert len({logical_id(name) for name in names}) == len(names)
    assert all(logical_id(name).isalnum() for name in names)
