"""`python -m cloudpanel.platform.bound FILE=TARGET ... COMMAND...`: run COMMAND, which sees each FILE as TARGET.

The command gets a mount namespace of its own with FILE bound over TARGET; the rest of the machine goes on
seeing TARGET. Mounts that others make later still reach the command. (libvirtd has an option for the path of
libvirtd.conf, but none for that of qemu.conf.)
"""

import ctypes
import os
import sys
from itertools import takewhile

CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_SLAVE = 4096, 16384, 1 << 19


def bind(pairs: list[tuple[str, str]]) -> None:
    """From now on this process and its children see the first file where the second is. OSError if not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)

    def check(result: int, what: str) -> None:
        if result:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), what)

    check(libc.unshare(CLONE_NEWNS), "unshare")
    check(libc.mount(None, b"/", None, MS_REC | MS_SLAVE, None), "/")
    for source, target in pairs:
        check(libc.mount(os.fsencode(source), os.fsencode(target), None, MS_BIND, None), target)


def main(arguments: list[str]) -> None:
    pairs = list(takewhile(lambda argument: "=" in argument, arguments))
    command = arguments[len(pairs) :]
    bind([tuple(pair.split("=", 1)) for pair in pairs])
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
