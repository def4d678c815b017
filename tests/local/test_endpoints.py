"""Endpoints of inference components in the local cloud: what SageMaker refuses of an update is refused."""

from typing import Any

from tests.fixtures.local_cloud_client import LocalCloudClient


def on(instance: str, suffix: str) -> dict[str, Any]:
    """Return an endpoint on an instance type, with a suffix of its name and logical ids."""
    variant = {"VariantName": "main", "InstanceType": instance, "InitialInstanceCount": 1}
    return {
        f"Config{suffix}": {
            "Type": "AWS::SageMaker::EndpointConfig",
            "Properties": {"ProductionVariants": [variant]},
        },
        f"Endpoint{suffix}": {
            "Type": "AWS::SageMaker::Endpoint",
            "Properties": {
                "EndpointName": f"shop{suffix}",
                "EndpointConfigName": {
                    "Fn::GetAtt": [f"Config{suffix}", "EndpointConfigName"],
                },
            },
        },
    }


def endpoints(local_cloud: LocalCloudClient) -> dict[str, str]:
    """Return the instance type of each endpoint."""
    api = local_cloud.client("sagemaker")
    names = [one["EndpointName"] for one in api.list_endpoints()["Endpoints"]]
    configs = {
        name: api.describe_endpoint(EndpointName=name)["EndpointConfigName"] for name in names
    }
    return {
        name: api.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"][0][
            "InstanceType"
        ]
        for name, config in configs.items()
    }


def test_an_endpoint_cannot_change_its_instance_type_and_another_one_takes_its_place(
    local_cloud: LocalCloudClient,
) -> None:
    assert local_cloud.deploy("shop", on("ml.g6.xlarge", "")) == "CREATE_COMPLETE"
    assert local_cloud.deploy("shop", on("ml.g5.xlarge", "")) == "UPDATE_ROLLBACK_COMPLETE"
    api = local_cloud.client("cloudformation")
    reasons = [
        event.get("ResourceStatusReason", "")
        for event in api.describe_stack_events(StackName="shop")["StackEvents"]
    ]
    assert any("Cannot update endpoint with a different instance type" in why for why in reasons)
    assert endpoints(local_cloud) == {"shop": "ml.g6.xlarge"}
    assert local_cloud.deploy("shop", on("ml.g5.xlarge", "G5")) == "UPDATE_COMPLETE"
    assert endpoints(local_cloud) == {"shopG5": "ml.g5.xlarge"}
    assert local_cloud.delete("shop") == "DELETE_COMPLETE"
    assert endpoints(local_cloud) == {}
