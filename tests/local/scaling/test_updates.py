"""Changes of a GPU tier in the local cloud, under every reading of what SageMaker refuses."""

import itertools

import pytest
from botocore.exceptions import ClientError

from local.control.data_plane import data_plane
from local.control.placement import NO_PLACE, Readings
from tests.fixtures.synthesis import Json
from tests.local.scaling.conftest import ONE, GpuCloud, changes, template

NAME = "shop-intents-gpu-g6-xl"
READINGS = [
    Readings(new_first=new, strict_batch=strict)
    for new, strict in itertools.product((True, False), (True, False))
]
by_reading = pytest.mark.parametrize("reading", READINGS, ids=str)


def properties(resources: Json, kind: str) -> Json:
    (found,) = (
        r["Properties"] for r in resources.values() if r["Type"] == f"AWS::SageMaker::{kind}"
    )
    return dict(found)


def most_instances(resources: Json) -> Json:
    """Return the settings that have the most instances of an endpoint."""
    (variant,) = properties(resources, "EndpointConfig")["ProductionVariants"]
    found: Json = variant["ManagedInstanceScaling"]
    return found


@pytest.mark.exhaustive(keep=2)
@by_reading
@pytest.mark.parametrize("tier", ["one", "pair"])
def test_every_change_is_deployed_under_every_reading(
    gpu_cloud: GpuCloud, tier: str, reading: Readings
) -> None:
    data_plane().readings = reading
    gpu_cloud.must_deploy(template(tier))
    for name in changes(ONE):
        resources = template(f"{tier}-{name}")
        gpu_cloud.must_deploy(resources)
        component = properties(resources, "InferenceComponent")["InferenceComponentName"]
        assert list(gpu_cloud.hosts.running) == [component]
        copies = properties(resources, "InferenceComponent")["RuntimeConfig"]["CopyCount"]
        assert gpu_cloud.copies(component) == (copies, copies)
    assert component == "shop-intents-gpu-g5-xl"


@pytest.mark.parametrize(("reading", "deployed"), [(READINGS[0], False), (READINGS[2], True)])
def test_with_one_instance_at_most_a_new_version_has_no_place_beside_the_old_one(
    gpu_cloud: GpuCloud, reading: Readings, deployed: bool
) -> None:
    data_plane().readings = reading
    made = {"first": template("one"), "second": template("one-version")}
    for resources in made.values():
        most_instances(resources)["MaxInstanceCount"] = 1
    gpu_cloud.must_deploy(made["first"])
    status = gpu_cloud.deploy(made["second"])
    assert status == ("UPDATE_COMPLETE" if deployed else "UPDATE_ROLLBACK_COMPLETE")
    assert (NO_PLACE in gpu_cloud.reasons()) is not deployed
    # Refused or not, one version serves.
    assert gpu_cloud.copies(NAME) == (1, 1)
    expected = "c" * 64 if deployed else "b" * 64
    assert gpu_cloud.hosts.running[NAME].endswith(expected)


@pytest.mark.parametrize("reading", READINGS[:2], ids=str)
def test_a_batch_of_a_single_copy_passes_under_one_reading_alone(
    gpu_cloud: GpuCloud, reading: Readings
) -> None:
    data_plane().readings = reading
    made = {"first": template("one"), "second": template("one-version")}
    config = properties(template("pair"), "InferenceComponent")["DeploymentConfig"]
    policy = {"RollingUpdatePolicy": config["RollingUpdatePolicy"]}
    for resources in (made["first"], made["second"]):
        for resource in resources.values():
            if resource["Type"] == "AWS::SageMaker::InferenceComponent":
                resource["Properties"]["DeploymentConfig"] = policy
    gpu_cloud.must_deploy(made["first"])
    status = gpu_cloud.deploy(made["second"])
    assert status == ("UPDATE_ROLLBACK_COMPLETE" if reading.strict_batch else "UPDATE_COMPLETE")
    assert ("between 5% to 50%" in gpu_cloud.reasons()) is reading.strict_batch


def test_several_copies_are_replaced_one_by_one_and_not_at_once(gpu_cloud: GpuCloud) -> None:
    made = {"first": template("pair"), "second": template("pair-version")}
    for resources in made.values():
        # Room for one copy beside two, and not for two.
        most_instances(resources)["MaxInstanceCount"] = 3
    gpu_cloud.must_deploy(made["first"])
    without = template("pair-version")
    most_instances(without)["MaxInstanceCount"] = 3
    for resource in without.values():
        if resource["Type"] == "AWS::SageMaker::InferenceComponent":
            del resource["Properties"]["DeploymentConfig"]
    assert gpu_cloud.deploy(without) == "UPDATE_ROLLBACK_COMPLETE"
    assert NO_PLACE in gpu_cloud.reasons()
    gpu_cloud.must_deploy(made["second"])


@pytest.mark.parametrize(
    ("copies", "accelerators", "reason"),
    [(0, 1, "copy count an integer larger than 0"), (3, 1, NO_PLACE), (1, 2, NO_PLACE)],
)
def test_a_component_without_a_place_is_refused_when_it_is_made(
    gpu_cloud: GpuCloud, copies: int, accelerators: int, reason: str
) -> None:
    resources = template("one")
    for resource in resources.values():
        if resource["Type"] == "AWS::SageMaker::InferenceComponent":
            made = resource["Properties"]
            made["RuntimeConfig"]["CopyCount"] = copies
            required = made["Specification"]["ComputeResourceRequirements"]
            required["NumberOfAcceleratorDevicesRequired"] = accelerators
    assert gpu_cloud.deploy(resources) == "ROLLBACK_COMPLETE"
    assert reason in gpu_cloud.reasons()
    assert gpu_cloud.hosts.started == []


def test_a_component_outlives_its_endpoint_and_keeps_its_name(gpu_cloud: GpuCloud) -> None:
    resources = template("one")
    gpu_cloud.must_deploy(resources)
    api = gpu_cloud.client.client("sagemaker")
    with pytest.raises(ClientError, match="already existing inference component"):
        api.create_inference_component(
            InferenceComponentName=NAME, EndpointName=NAME, RuntimeConfig={"CopyCount": 1}
        )
    config = api.describe_endpoint(EndpointName=NAME)["EndpointConfigName"]
    api.delete_endpoint(EndpointName=NAME)
    assert gpu_cloud.copies(NAME) == (1, 1)
    # As it was, so that the stack can be deleted.
    api.create_endpoint(EndpointName=NAME, EndpointConfigName=config)


def test_copies_set_by_hand_need_a_place_as_well(gpu_cloud: GpuCloud) -> None:
    gpu_cloud.must_deploy(template("one"))
    api = gpu_cloud.client.client("sagemaker")
    named = {"InferenceComponentName": NAME}
    api.update_inference_component_runtime_config(**named, DesiredRuntimeConfig={"CopyCount": 2})
    with pytest.raises(ClientError, match="not enough hardware resources"):
        api.update_inference_component_runtime_config(
            **named, DesiredRuntimeConfig={"CopyCount": 3}
        )
    assert gpu_cloud.copies(NAME) == (2, 2)
