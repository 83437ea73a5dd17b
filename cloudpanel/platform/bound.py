"""`python -m cloudpanel.platform.bound FILE TARGET COMMAND...`: run COMMAND, which sees FILE in the place of TARGET.

The command gets a mount namespace of its own with FILE bound over TARGET; the rest of the machine goes on
seeing TARGET. Mounts that others make later still reach the command. (libvirtd has an option for the path of
libvirtd.conf, but none for that of qemu.conf.)
"""

import ctypes
import os
import sys

CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_SLAVE = 4096, 16384, 1 << 19


def bind(source: str, target: str) -> None:
    """From now on this process and its children see `source` where `target` is. OSError if not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)

    def check(result: int, what: str) -> None:
        if result:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), what)

    check(libc.unshare(CLONE_NEWNS), "unshare")
    check(libc.mount(None, b"/", None, MS_REC | MS_SLAVE, None), "/")
    check(libc.mount(os.fsencode(source), os.fsencode(target), None, MS_BIND, None), target)


if __name__ == "__main__":
    bind(sys.argv[1], sys.argv[2])
    os.execvp(sys.argv[3], sys.argv[3:])  # noqa: S606
