"""Processes without a network and without credentials, in which a library loads the user's model.

The build leaves the network (`leave_network`) once sources are downloaded. For its processes, `isolated` returns the
command that starts one. The command runs this file, which leaves the network, keeps of the environment what computing
takes, and turns into the program. Files stay readable: what a program reads there can be changed on this machine, but
cannot be sent from it.
"""

import ctypes
import os
import platform
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

# Variables that a program keeps, and the beginnings of others: where programs, libraries and temporary files lie, the
# language, threads and processors. A list of what may stay cannot miss the name of a new credential.
KEPT = {"PATH", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONDONTWRITEBYTECODE"}
KEPT_BEGINNINGS = ("LC_", "OMP_", "MKL_", "OPENBLAS_", "KMP_", "ORT_", "CUDA_", "NVIDIA_")
# Libraries are told not to try a network, and find no file of credentials: nothing can be put into this home.
SET = {
    "HOME": "/proc/no-home",
    "USER": "turnout",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "DO_NOT_TRACK": "1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
# <linux/sched.h>, <linux/prctl.h>, <linux/seccomp.h>
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_NO_NEW_PRIVS, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC = 38, 1, 1
# The audit number of each processor, and its numbers of the system calls `socket`, `io_uring_setup` and `seccomp`. The
# second could make sockets without the first.
SYSTEM_CALLS = {"x86_64": (0xC000003E, 41, 425, 317), "aarch64": (0xC00000B7, 198, 425, 277)}
# On x86_64, numbers from here on are those of x32, under which `socket` has another one.
X32 = 0x40000000
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 13  # EACCES


def own_namespace() -> None:
    """Move this process into a network of its own that has no interface; raise OSError where that is not allowed.

    Any user may, unless the system forbids it. The user stays the same. From the user namespace that comes with it, the
    environment of the parent process cannot be read either.
    https://man7.org/linux/man-pages/man7/user_namespaces.7.html
    """
    user, group = os.geteuid(), os.getegid()
    _call("unshare", CLONE_NEWUSER | CLONE_NEWNET)
    Path("/proc/self/setgroups").write_text("deny", "ascii")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1", "ascii")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1", "ascii")


def socket_filter() -> None:
    """Have the system refuse every socket but those of files to this process; raise OSError where it cannot.

    All of its threads are refused, and what it starts. Users who may not have namespaces, as in most containers, may
    have this.
    https://man7.org/linux/man-pages/man2/seccomp.2.html
    """
    if platform.machine() not in SYSTEM_CALLS:
        raise OSError(f"the system calls of {platform.machine()} are not known")
    audit, socket, io_uring, seccomp = SYSTEM_CALLS[platform.machine()]
    # Offsets in struct seccomp_data: the number is at 0, the architecture at 4, the first argument at 16.
    rules = [
        (LOAD, 0, 0, 4),
        (EQUAL, 0, 6, audit),
        (LOAD, 0, 0, 0),
        (AT_LEAST, 4, 0, X32),
        (EQUAL, 3, 0, io_uring),
        (EQUAL, 0, 3, socket),
        (LOAD, 0, 0, 16),
        (EQUAL, 1, 0, 1),  # AF_UNIX
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
    filter_ = struct.pack("HxxxxxxP", len(rules), ctypes.addressof(program))
    _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _call("syscall", seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, filter_)


def _call(name: str, *arguments: int | bytes) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, name):
        raise OSError(f"this system has no {name}")
    if getattr(library, name)(*arguments):
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


# The ways to leave the network, the strongest first, each with what a report says of it.
WAYS: dict[str, tuple[Callable[[], None], str]] = {
    "namespace": (own_namespace, "a network of its own that has no interface"),
    "filter": (socket_filter, "a filter of system calls that refuses it sockets"),
}
NONE = "none"


@cache
def way_out() -> str:
    """Return the strongest way to leave the network that this system allows, NONE where it allows none."""
    return next(filter(allows, WAYS), NONE)


def allows(way: str) -> bool:
    """Return whether this system lets a process leave the network in that way."""
    probe = isolated([sys.executable, "-I", "-S", "-c", ""], way)
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def leave_network() -> bool:
    """Have the system refuse this process and what it starts a network from now on; return whether it does.

    A namespace would do so too, but its user would lose what it may do with the files of others.
    """
    try:
        socket_filter()
    except OSError:
        return False
    return True


def described(way: str) -> str:
    """Return how processes that load a model are kept from the network, for reports."""
    if way in WAYS:
        return f"without a network: {WAYS[way][1]}"
    return "with a network, since this system refuses both namespaces and filters; libraries are set offline"


def isolated(command: Iterable[str], way: str | None = None, **variables: str) -> list[str]:
    """Return a command that runs `command`, with the variables added to the few that it keeps.

    The program is not started at all where `way` fails, which is by default the strongest that the system allows.
    """
    named = [f"{name}={value}" for name, value in variables.items()]
    return [sys.executable, "-I", "-S", __file__, way or way_out(), *named, "--", *command]


def kept(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program: the variables that it keeps, and the settings that keep it offline."""
    names = [name for name in environment if name in KEPT or name.startswith(KEPT_BEGINNINGS)]
    return {**{name: environment[name] for name in names}, **SET}


def main(arguments: Sequence[str]) -> None:
    """Leave the network and become the program after `--`; exit with a message where the network cannot be left."""
    way, *rest = arguments
    split = rest.index("--")
    variables, command = rest[:split], rest[split + 1 :]
    if way != NONE:
        try:
            WAYS[way][0]()
        except OSError as error:
            sys.exit(f"this system does not allow a process without a network ({error})")
    environment = kept(os.environ) | dict(variable.split("=", 1) for variable in variables)
    os.execvpe(command[0], command, environment)


if __name__ == "__main__":
    main(sys.argv[1:])
