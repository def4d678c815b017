"""The start of a program in an image's file system, by the kernel alone; run as a script, with its plan as JSON.

The program sees the files of the image read-only, a `/tmp` of its own, its own processes, no other user and the network
of this machine, as an unprivileged user. Root makes the namespaces by its rights; everybody else makes a user namespace
first, in which the user has the number that the function's has on Lambda.

As in a container, mounts are made before the root is exchanged: https://man7.org/linux/man-pages/man2/pivot_root.2.html
"""

import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

# sched.h, sys/mount.h, sys/prctl.h, and the number of the call on x86-64.
CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x8000000, 0x10000000, 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE, MS_RELATIME, MNT_DETACH = 0x1000, 0x4000, 1 << 18, 1 << 21, 2
SYS_PIVOT_ROOT, PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 155, 1, 38
# Flags of a mount that a user namespace may not take from it; statvfs has but one by another number than mount.
LOCKED = MS_NOSUID | MS_NODEV | MS_NOEXEC | os.ST_NOATIME | os.ST_NODIRATIME
# What a program may expect of /dev. Lambda has no /dev/shm:
# https://aws.amazon.com/blogs/compute/parallel-processing-in-python-with-aws-lambda/
DEVICES = ("full", "null", "random", "urandom", "zero")
LINKS = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}
MOUNT_POINTS = ("dev", "proc", "tmp")
# The status of a program that could not be isolated, as podman and Docker have it.
NOT_ISOLATED = 125

_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """A call that the kernel refuses, or an image that cannot be mounted."""


def call(name: str, *arguments: object) -> None:
    """Call a function of the C library; raise Refused with its name if it fails."""
    values = [one.encode() if isinstance(one, str) else one for one in arguments]
    if getattr(_libc, name)(*values) != 0:
        shown = " ".join(str(one) for one in arguments if isinstance(one, str))
        raise Refused(f"{name} {shown}".rstrip() + f": {os.strerror(ctypes.get_errno())}")


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    call("mount", source, target, kind, ctypes.c_ulong(flags), data)


def become_mapped(user: int, group: int) -> None:
    """Enter a user namespace in which this process's user and group have other numbers."""
    own_user, own_group = os.geteuid(), os.getegid()
    call("unshare", CLONE_NEWUSER)
    # Without this, a user could leave a group that a file is forbidden to: user_namespaces(7).
    Path("/proc/self/setgroups").write_text("deny", "ascii")
    Path("/proc/self/uid_map").write_text(f"{user} {own_user} 1", "ascii")
    Path("/proc/self/gid_map").write_text(f"{group} {own_group} 1", "ascii")


def change_root(root: str, tmp_mb: int) -> None:
    """Make the mounts of a container below a folder, and take it for the root."""
    # Nothing that is mounted here may be seen outside.
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount(root, root, None, MS_BIND | MS_REC)
    for name in MOUNT_POINTS:
        path = Path(root, name)
        if path.is_symlink() or not path.is_dir():
            raise Refused(f"/{name} of the image is no folder")
    mount("proc", f"{root}/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("tmpfs", f"{root}/tmp", "tmpfs", MS_NOSUID | MS_NODEV, f"size={tmp_mb}m,mode=1777")
    _make_devices(f"{root}/dev")
    found = os.statvfs(root).f_flag
    kept = found & LOCKED | (MS_RELATIME if found & os.ST_RELATIME else 0)
    mount("none", root, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | kept)
    os.chdir(root)
    # The old root lies over the new one, until it is taken away.
    call("syscall", SYS_PIVOT_ROOT, ".", ".")
    call("umount2", ".", MNT_DETACH)
    os.chdir("/")


def _make_devices(folder: str) -> None:
    mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NOEXEC, "size=64k,mode=755")
    for name in DEVICES:
        Path(folder, name).touch()
        mount(f"/dev/{name}", f"{folder}/{name}", None, MS_BIND)
    for name, rest in LINKS.items():
        Path(folder, name).symlink_to(f"/proc/self/fd{rest}")
    mount("none", folder, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC)


def become_user(user: int, group: int) -> None:
    """Give up every right of root, for good."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # After the change of user, which forgets it.
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL)


def become_program(plan: dict[str, Any]) -> NoReturn:
    """Become the program of a plan, as the first process of its namespace; with no program, end."""
    for procs in plan["groups"]:
        Path(procs).write_text("0", "ascii")
    # It is opened now, since it lies outside of the image, and is run from no path.
    program = os.open(plan["program"], os.O_RDONLY) if plan["program"] else None
    os.umask(0o022)
    change_root(plan["root"], plan["tmp_mb"])
    files = plan["files"]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    become_user(plan["user"], plan["group"])
    command = plan["command"]
    if not command:
        os._exit(0)
    os.chdir(plan["folder"])
    if program is not None:
        os.execve(program, command, plan["environment"])
    os.execvpe(command[0], command, plan["environment"])


def become_program_or_end(plan: dict[str, Any]) -> NoReturn:
    try:
        become_program(plan)
    except (Refused, OSError) as error:
        end_refused(error)


def end_refused(error: Exception) -> NoReturn:
    sys.stderr.write(f"{error}\n")
    sys.stderr.flush()
    os._exit(NOT_ISOLATED)


def keep(child: int) -> NoReturn:
    """Wait for the first process, and end as it ended; when this one is killed, the kernel ends all below it."""
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    # As a shell reports an end by a signal.
    os._exit(code if code >= 0 else 128 - code)


def main() -> NoReturn:
    plan = json.loads(sys.argv[1])
    try:
        call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have ended before the signal was set.
        if os.getppid() != plan["parent"]:
            os._exit(NOT_ISOLATED)
        if os.geteuid() != 0:
            become_mapped(plan["user"], plan["group"])
        call("unshare", CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID)
    except (Refused, OSError) as error:
        end_refused(error)
    # The namespace of processes begins with the next one.
    if child := os.fork():
        keep(child)
    become_program_or_end(plan)


if __name__ == "__main__":
    main()
