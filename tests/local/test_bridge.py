"""The local cloud for containers: at the address of their bridge, for their addresses, and nowhere else."""

import socket
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from images.engine.engine import Bridge
from local.bridge import listening
from local.cloud import Cloud
from local.errors import LocalError

# Every address that begins with 127 is this machine's, so no engine is needed for a second one.
ADDRESS = "127.0.0.2"


def buckets(url: str) -> list[str]:
    """Make a bucket and write to it at a URL whose host is an address; return the buckets that there are then."""
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
    s3.create_bucket(Bucket="shelf")
    s3.put_object(Bucket="shelf", Key="book", Body=b"text")
    assert s3.get_object(Bucket="shelf", Key="book")["Body"].read() == b"text"
    return [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]


def test_containers_reach_the_control_plane_at_the_bridge_alone(tmp_path: Path) -> None:
    bridge = Bridge(address=ADDRESS, subnet="127.0.0.0/8")
    with Cloud(tmp_path, bridge=bridge) as cloud:
        assert urlsplit(cloud.bridge_url).hostname == ADDRESS
        assert buckets(cloud.bridge_url) == ["shelf"]
        port = urlsplit(cloud.bridge_url).port
        with pytest.raises(EndpointConnectionError):
            buckets(f"http://127.0.0.1:{port}")
        with pytest.raises(EndpointConnectionError):
            buckets(f"http://{ADDRESS}:{urlsplit(cloud.endpoint_url).port}")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((ADDRESS, int(port or 0)))


def test_others_than_containers_are_refused(tmp_path: Path) -> None:
    with (
        Cloud(tmp_path, bridge=Bridge(address=ADDRESS, subnet="10.88.0.0/16")) as cloud,
        pytest.raises(ClientError, match="403"),
    ):
        buckets(cloud.bridge_url)


def test_without_a_bridge_there_is_no_second_address(tmp_path: Path) -> None:
    with Cloud(tmp_path) as cloud:
        assert cloud.bridge_url == ""


def test_an_address_can_be_listened_on_before_its_bridge_is_there() -> None:
    # For documentation, and so of no machine (RFC 5737).
    with listening("203.0.113.1") as found:
        assert found.getsockname()[0] == "203.0.113.1"


def test_an_address_of_another_family_is_refused() -> None:
    with pytest.raises(LocalError, match=r"fd00::1 of the engine's bridge cannot be listened on"):
        listening("fd00::1")
