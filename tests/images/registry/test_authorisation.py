"""A registry gets the credentials that it asks for, and no one else does."""

from dataclasses import replace

import pytest

from images.registry.connection import Connection, Credentials, is_trusted
from images.registry.push import Image
from tests.images.registry.pushes import LOGIN, NAMES, Pusher, arrived
from tests.images.registry.uploads import SECRET, UploadRegistry, upload_registry


def test_a_name_and_a_password_are_given_to_the_registry_or_to_its_service_of_tokens(
    registry: UploadRegistry, images: list[Image], push: Pusher
) -> None:
    registry.auth = "basic"
    push(images[0], credentials=LOGIN)
    assert arrived(registry, images[0])
    registry.auth = "bearer"
    push(*images, credentials=LOGIN)
    assert arrived(registry, images[1])
    # One token for each repository, good for a mount from the other one as well.
    first, second = (f"repository:team/{name}" for name in NAMES)
    assert registry.scopes == [
        [f"{first}:pull,push", f"{second}:pull"],
        [f"{second}:pull,push", f"{first}:pull"],
    ]


def test_an_identity_token_is_exchanged_for_a_token(
    registry: UploadRegistry, images: list[Image], push: Pusher
) -> None:
    registry.auth, registry.identity_token = "bearer", "kept by a helper"
    push(images[0], credentials=Credentials(identity_token="kept by a helper"))
    assert arrived(registry, images[0])


def test_a_token_that_ends_in_mid_push_is_replaced(
    registry: UploadRegistry, images: list[Image], push: Pusher
) -> None:
    registry.auth, registry.token_uses = "bearer", 4
    push(images[0], credentials=LOGIN)
    assert arrived(registry, images[0])
    assert len(registry.tokens) > 3


@pytest.mark.parametrize("auth", ["basic", "bearer"])
@pytest.mark.parametrize("given", [None, replace(LOGIN, secret="wrong")])
def test_credentials_that_are_refused_are_said_with_the_command_to_log_in(
    registry: UploadRegistry,
    images: list[Image],
    push: Pusher,
    auth: str,
    given: Credentials | None,
) -> None:
    registry.auth = auth
    said = push.refused(images[0], credentials=given)
    assert "registry_denied" in said
    assert f"`docker login {registry.host}`" in said
    assert "wrong" not in said.replace("wrong password", "")
    assert registry.blobs == {}


def test_a_store_that_uploads_are_sent_on_to_gets_no_credentials(
    registry: UploadRegistry, images: list[Image], push: Pusher
) -> None:
    registry.auth = "basic"
    with upload_registry() as store:
        registry.elsewhere = f"http://{store.host}"
        push.refused(images[0], credentials=LOGIN)
    assert set(store.authorizations) == {""}
    assert registry.authorizations[-1].startswith("Basic ")


def test_bytes_are_sent_to_no_address_without_https(
    registry: UploadRegistry, images: list[Image], push: Pusher
) -> None:
    registry.elsewhere = "http://store.example"
    said = push.refused(images[0])
    assert "registry_unreachable" in said
    assert "no https address" in said
    assert registry.received == 0


def test_secrets_go_to_https_and_to_this_machine_alone() -> None:
    trusted = ("https://a.example/x", "http://localhost:5000/x", "http://127.0.0.1/x")
    others = (
        "http://a.example/x",
        "http://127.0.0.1.a.example/x",
        "http://localhost.a.example",
        "ftp://localhost",
        "",
    )
    assert [url for url in (*trusted, *others) if is_trusted(url)] == list(trusted)
    assert is_trusted("http://[::1]:5000/x")
    assert Connection("a.example", "r").url("x") == "https://a.example/v2/r/x"
    assert Connection("localhost:5000", "r").url("x") == "http://localhost:5000/v2/r/x"
    assert SECRET not in repr(LOGIN)
