"""Images that an engine runs and Lambda refuses: one of each kind, and the rule that names it."""

import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from images.oci.layout import Settings
from images.oci.lint import lint
from images.oci.reading import read_layout
from tests.images.layouts import (
    SETTINGS,
    Change,
    Document,
    archive,
    changed,
    described,
    entry,
    small,
)

DOCKER = "application/vnd.docker"
FOLDER = tarfile.DIRTYPE


def found(image: Path) -> list[tuple[str, str]]:
    return [(problem.code.value, problem.message) for problem in lint(read_layout(image))]


def on_top(folder: Path, *members: tarfile.TarInfo, settings: Settings = SETTINGS) -> Path:
    """Write an image with a layer of these entries on top."""
    return small(folder, settings, archive(folder / "work", *members))


def test_an_image_of_this_project_has_no_problem(tmp_path: Path) -> None:
    assert found(small(tmp_path)) == []


def test_an_index_of_two_images_is_refused(tmp_path: Path) -> None:
    image = changed(
        small(tmp_path), index=lambda index: index["manifests"].append(index["manifests"][0])
    )
    assert found(image) == [
        ("image_manifest", "its index names 2 images or indices; build it for linux/amd64 alone")
    ]


def test_an_index_within_the_index_is_refused(tmp_path: Path) -> None:
    image = small(tmp_path)

    def nested(index: Document) -> None:
        inner = {"schemaVersion": 2, "manifests": index["manifests"]}
        media_type = "application/vnd.oci.image.index.v1+json"
        index["manifests"] = [{"mediaType": media_type, **described(image, inner)}]

    assert [code for code, _ in found(changed(image, index=nested))] == ["image_manifest"]


def test_attestations_are_refused_and_not_taken_for_the_image(tmp_path: Path) -> None:
    image = small(tmp_path)

    def attested(index: Document) -> None:
        about = {"vnd.docker.reference.type": "attestation-manifest"}
        other = {"schemaVersion": 2, "layers": [{"digest": "sha256:" + "0" * 64}]}
        index["manifests"].insert(0, {**described(image, other), "annotations": about})

    assert found(changed(image, index=attested)) == [
        (
            "image_manifest",
            "it has attestations beside the image; build it with --provenance=false --sbom=false",
        )
    ]


def of_layer(media_type: str) -> Change:
    return lambda manifest: manifest["layers"][1].update(mediaType=media_type)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (of_layer("application/vnd.oci.image.layer.v1.tar+zstd"), "layer 2"),
        (of_layer("application/vnd.docker.image.rootfs.diff.tar.zstd"), "layer 2"),
        (of_layer("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"), "layer 2"),
        (lambda m: m["config"].update(mediaType="application/vnd.oci.empty.v1+json"), "its config"),
        (lambda m: m.update(mediaType=f"{DOCKER}.distribution.manifest.v1+json"), "its manifest"),
        (lambda m: m.update(artifactType="application/vnd.example"), "OCI artefact"),
    ],
    ids=["zstd", "docker zstd", "foreign", "config", "schema 1", "artefact"],
)
def test_a_media_type_that_lambda_does_not_take_is_refused(
    tmp_path: Path, change: Change, named: str
) -> None:
    ((code, message),) = found(changed(small(tmp_path), manifest=change))
    assert code == "image_media_type"
    assert named in message


def test_the_media_types_of_docker_are_taken(tmp_path: Path) -> None:
    def docker(manifest: Document) -> None:
        manifest["mediaType"] = f"{DOCKER}.distribution.manifest.v2+json"
        manifest["config"]["mediaType"] = f"{DOCKER}.container.image.v1+json"
        for layer in manifest["layers"]:
            layer["mediaType"] = f"{DOCKER}.image.rootfs.diff.tar.gzip"

    assert found(changed(small(tmp_path), manifest=docker)) == []


@pytest.mark.parametrize("key", [{"architecture": "arm64"}, {"os": "windows"}, {"os": None}])
def test_another_platform_is_refused(tmp_path: Path, key: Document) -> None:
    ((code, message),) = found(changed(small(tmp_path), config=lambda config: config.update(key)))
    assert code == "image_platform"
    assert message.endswith("functions here are for linux/amd64")


def test_a_file_without_an_entry_for_its_folder_is_refused(tmp_path: Path) -> None:
    image = on_top(
        tmp_path, entry("var", FOLDER, 0o755), entry("var/task/a.py"), entry("var/task/b.py")
    )
    assert found(image) == [
        ("image_path", "layer 3 has var/task/a.py, but no entry for its folder var/task before it")
    ]


def test_names_as_tar_writes_them_are_understood(tmp_path: Path) -> None:
    members = (entry("./", FOLDER, 0o755), entry("./opt/", FOLDER, 0o755), entry("./opt/x"))
    assert found(on_top(tmp_path, *members)) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [("../escaped", tarfile.REGTYPE), ("null", tarfile.CHRTYPE), ("pipe", tarfile.FIFOTYPE)],
)
def test_an_entry_that_escapes_or_is_a_device_is_refused(
    tmp_path: Path, name: str, kind: bytes
) -> None:
    codes = {code for code, _ in found(on_top(tmp_path, entry(name, kind)))}
    assert codes == {"image_path"}


def test_files_that_the_function_cannot_read_are_refused_and_others_are_not(tmp_path: Path) -> None:
    folders = (entry("var", FOLDER, 0o700), entry("var/task", FOLDER, 0o755))
    private = (
        entry("var/task/handler.py", mode=0o600),
        entry("etc", FOLDER, 0o755),
        entry("etc/shadow", mode=0o600),
    )
    assert found(on_top(tmp_path, *folders, *private)) == [
        (
            "image_mode",
            "var has the mode 0700, and the function's user is another one; make it 005",
        ),
        (
            "image_mode",
            "var/task/handler.py has the mode 0600, and the function's user is another one; make it 004",
        ),
    ]


@pytest.mark.parametrize("mode", [0o751, 0o754])
def test_a_folder_that_can_be_listed_or_entered_alone_is_refused(tmp_path: Path, mode: int) -> None:
    folders = (entry("var", FOLDER, 0o755), entry("var/task", FOLDER, mode))
    ((code, message),) = found(on_top(tmp_path, *folders))
    assert code == "image_mode"
    assert message.startswith(f"var/task has the mode {mode:04o}")


def test_many_problems_of_a_kind_are_counted(tmp_path: Path) -> None:
    folders = (entry("var", FOLDER, 0o755), entry("var/task", FOLDER, 0o755))
    many = (entry(f"var/task/{number:02}", mode=0o600) for number in range(25))
    messages = [message for _, message in found(on_top(tmp_path, *folders, *many))]
    assert len(messages) == 11
    assert messages[-1] == "and 15 more of this kind"


def test_an_image_of_more_than_ten_gigabytes_is_refused(tmp_path: Path) -> None:
    layout = read_layout(small(tmp_path))
    large = tuple(replace(layer, size=5_000_000_001) for layer in layout.layers)
    assert [problem.code for problem in lint(replace(layout, layers=large))] == ["image_too_large"]
    allowed = tuple(replace(layer, size=5_000_000_000) for layer in layout.layers)
    assert lint(replace(layout, layers=allowed)) == []


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"entrypoint": (), "command": ()}, "neither an Entrypoint nor a Cmd"),
        ({"entrypoint": ("python3",)}, "has to be absolute"),
        ({"entrypoint": ("/usr/bin/python4",)}, "is no file in it"),
        ({"entrypoint": ("/usr/bin",)}, "is no file in it"),
        ({"entrypoint": ("/var/task/handler.py",)}, "cannot execute"),
        ({"entrypoint": ("/bin/python3", "-c", "run")}, "passes on no Cmd"),
        ({"working_dir": "var/task"}, "its WorkingDir is 'var/task'"),
    ],
)
def test_an_entry_point_that_cannot_be_started_is_refused(
    tmp_path: Path, settings: Document, named: str
) -> None:
    ((code, message),) = found(small(tmp_path, replace(SETTINGS, **settings)))
    assert code == "image_start"
    assert named in message


def test_settings_in_another_form_are_refused(tmp_path: Path) -> None:
    def shell(config: Document) -> None:
        config["config"] |= {"Entrypoint": "python3 -m x", "Cmd": [1]}

    assert [code for code, _ in found(changed(small(tmp_path), config=shell))] == [
        "image_start"
    ] * 3


def test_a_program_behind_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    loop = entry("loop", tarfile.SYMTYPE, 0o777)
    loop.linkname = "loop"
    image = on_top(tmp_path, loop, settings=replace(SETTINGS, entrypoint=("/loop",)))
    assert [message for _, message in found(image)] == ["it starts /loop, which is no file in it"]


@pytest.mark.parametrize(
    "removing", ["usr/bin/.wh.python3.11", "usr/bin/.wh..wh..opq", "usr/.wh.bin"]
)
def test_a_program_that_an_upper_layer_removes_is_refused(tmp_path: Path, removing: str) -> None:
    folders = (entry("usr", FOLDER, 0o755), entry("usr/bin", FOLDER, 0o755))
    above = [folder for folder in folders if f"{removing}".startswith(f"{folder.name}/")]
    image = on_top(tmp_path, *above, entry(removing))
    assert [message for _, message in found(image)] == [
        "it starts /bin/python3, which is no file in it"
    ]


def test_everything_is_reported_at_once(tmp_path: Path) -> None:
    image = small(tmp_path, replace(SETTINGS, entrypoint=("python3",)))
    changed(
        image,
        index=lambda index: index["manifests"].append(index["manifests"][0]),
        manifest=of_layer("application/vnd.oci.image.layer.v1.tar+zstd"),
        config=lambda config: config.update(architecture="arm64"),
    )
    assert [code for code, _ in found(image)] == [
        *("image_manifest", "image_media_type", "image_platform", "image_start"),
    ]
