"""The base that is made of Debian's packages runs the CPU function by its own Python, as it lies in the image."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from contracts.manifest import file_sha256
from images.base import Base, base_of, read_table
from images.bom.contents import described, materials_of
from images.bom.document import bill
from images.debian.layer import PACKAGES
from images.debian.packages import read_debian_lock
from images.layer import Entry
from images.oci.reading import read_layout
from images.root import root_of
from images.slimming.pieces import read_patterns, split
from images.wheel_files.downloads import digests_of
from images.wheel_files.locks import read_lock
from images.wheels import WHEELS
from tests.fixtures.cpu_function import CALLS
from tests.fixtures.paths import ROOT

pytestmark = pytest.mark.build

LOCK = ROOT / "functions/cpu/requirements.txt"
STANDARD_LIBRARY = """
import importlib, json, os, ssl, sys
folder = os.path.join(os.path.dirname(os.__file__), "lib-dynload")
extensions = sorted(name.partition(".")[0] for name in os.listdir(folder))
for name in extensions:
    importlib.import_module(name)
print(json.dumps({
    "version": sys.version_info[:2],
    "extensions": len(extensions),
    "certificates": ssl.create_default_context().cert_store_stats()["x509_ca"],
    "compiled": os.path.isfile(json.__cached__),
}))
"""


def chroot(root: Path) -> list[str]:
    """Return the command that runs another with a folder as its root; skip the test where nobody lets us."""
    command = [shutil.which("chroot", path="/usr/sbin:/usr/bin:/sbin:/bin") or "chroot", str(root)]
    if os.geteuid() == 0:
        return command
    command = [shutil.which("unshare") or "unshare", "--map-root-user", *command]
    try:
        tried = subprocess.run([*command, "/usr/bin/python3", "-c", ""], check=False)
    except FileNotFoundError:
        tried = None
    if tried is None or tried.returncode:
        pytest.skip("neither root nor user namespaces here, so the base is not run")
    return command


def run(root: Path, code: str, given: object = None, **environment: str) -> str:
    done = subprocess.run(
        [*chroot(root), "/usr/bin/python3", "-c", code],
        # What is missing shall not be made by the tests.
        env={"PYTHONDONTWRITEBYTECODE": "1", **environment},
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_cpu_function_answers_in_the_image(root: Path, base: Base) -> None:
    events = [{"inputs": ["lovely"]}, {"probe": True}, {"inputs": 1}]
    answers = json.loads(run(root, CALLS, events, **base.env))["answers"]
    assert answers[0]["outputs"][0]["label"] == "good"
    assert "version" in answers[1]
    assert answers[2]["problem"]["status"] == 422


def test_the_runtime_client_starts_in_the_image(root: Path, base: Base) -> None:
    executable, *arguments = base.entrypoint
    assert (root / executable.lstrip("/")).is_file()
    assert arguments == ["-m", "awslambdaric"]
    run(root, "import awslambdaric.bootstrap, runtime_client", **base.env)


def test_nothing_is_compiled_when_the_function_is_imported(root: Path, base: Base) -> None:
    code = (
        "import functions.cpu.handler, json, sys;"
        "print(json.dumps([m.__cached__ for m in list(sys.modules.values())"
        " if getattr(m, '__cached__', None)]))"
    )
    cached = json.loads(run(root, code, **base.env))
    assert len(cached) > 100
    assert [path for path in cached if not (root / path.lstrip("/")).is_file()] == []


def test_each_module_of_the_base_can_be_imported(base: Base, work: Path) -> None:
    found = json.loads(run(root_of(base.layers, work), STANDARD_LIBRARY, **base.env))
    assert found["version"] == [int(part) for part in base.python.split(".")]
    assert found["extensions"] > 20
    assert found["certificates"] > 100
    assert found["compiled"]


def test_the_base_has_the_licence_of_each_package_and_no_shell(base: Base, work: Path) -> None:
    root = root_of(base.layers, work)
    assert [
        name for name in PACKAGES if not (root / f"usr/share/doc/{name}/copyright").is_file()
    ] == []
    assert {path.name for path in (root / "var/lib/dpkg/status.d").iterdir()} == set(PACKAGES)
    assert {path.name for path in (root / "usr/bin").iterdir()} == {
        "python",
        "python3",
        "python3.13",
    }
    assert (root / "usr/share/common-licenses/GPL-3").is_file()


def test_the_base_is_the_same_from_another_folder_and_umask(
    base: Base, work: Path, table: Path, tmp_path: Path
) -> None:
    shutil.copytree(work / "debs", tmp_path / "other/debs")
    old = os.umask(0o077)
    try:
        [layer] = base_of("debian", tmp_path / "other", table).layers
    finally:
        os.umask(old)
    assert layer.diff_id == base.layers[0].diff_id
    assert layer.digest == base.layers[0].digest


def test_the_dependencies_are_the_files_that_the_dockerfile_installs(
    work: Path, packages: list[Entry], tmp_path: Path
) -> None:
    """pip installs the downloaded wheels as in the Dockerfile, and a shell removes what the patterns name."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for wheel in (work / "wheels").rglob("*.whl"):
        os.link(wheel, wheels / wheel.name)
    installed = tmp_path / "installed"
    for_image = ["--python-version", "3.13", "--only-binary", ":all:", "--implementation", "cp"]
    for_image += [f"--platform=manylinux_2_{minor}_x86_64" for minor in (34, 28, 27, 24, 17)]
    for_image += ["--platform=any", "--abi=cp313", "--abi=abi3", "--abi=none"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-compile"]
    command += ["--no-deps", "--require-hashes", "--find-links", str(wheels), *for_image]
    command += ["--target", str(installed), "--requirement", str(LOCK)]
    subprocess.run(command, check=True, capture_output=True)
    before = len(list(installed.rglob("*")))
    unused = LOCK.with_name("unused.txt")
    patterns = read_patterns(unused)
    for pattern in patterns:
        assert list(installed.glob(pattern)), f"{pattern} matches nothing"
    subprocess.run(f"rm -rf $(cat {unused})", shell=True, cwd=installed, check=True)
    assert len(list(installed.rglob("*"))) < before
    pips_own = {"INSTALLER", "REQUESTED", "RECORD"}
    expected = {
        path.relative_to(installed).as_posix(): file_sha256(path)
        for path in installed.rglob("*")
        if path.is_file() and path.name not in pips_own
    }
    commands = {path for path in expected if path.startswith("bin/")}
    executable = {
        path for path in expected if os.access(installed / path, os.X_OK) and path not in commands
    }
    found = {
        entry.path.removeprefix("var/task/"): entry
        for entry in split(packages, [f"var/task/{pattern}" for pattern in patterns]).kept
        if Path(entry.path).name not in pips_own
    }
    digests = {path: file_sha256(entry.source) for path, entry in found.items()}  # type: ignore[arg-type]
    assert digests == {path: expected[path] for path in expected if path not in commands}
    assert {path for path, entry in found.items() if entry.executable} == executable


def test_the_bill_lists_every_package_of_the_real_image_with_hash_and_licence(
    base: Base, work: Path, cpu_image: Path, table: Path
) -> None:
    layout = read_layout(cpu_image, described)
    wheels = digests_of(LOCK, work / WHEELS, base.python)
    text = bill("image", "sha256:" + "0" * 64, materials_of(layout), wheels, base.archives)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    found = {one["purl"]: one for one in json.loads(text)["components"] if "purl" in one}
    debian = read_debian_lock(table.parent / read_table(table)["debian"].lock).packages
    wanted = {("deb", one.name, one.version, one.sha256) for one in debian}
    wanted |= {("pypi", p.name, p.version, wheels[p.name]) for p in read_lock(LOCK)}
    assert {
        (url[4:].partition("/")[0], one["name"], one["version"], one["hashes"][0]["content"])
        for url, one in found.items()
    } == wanted
    assert [url for url, one in found.items() if not one.get("licenses")] == []
    licences = {one["name"]: json.dumps(one["licenses"]) for one in found.values()}
    assert "MIT" in licences["onnxruntime"]
    assert "Apache-2.0 OR BSD-2-Clause" in licences["packaging"]
    assert "Apache-2.0" in licences["libssl3t64"]
