"""Run a program that dies with its parent: `python -I -S launch.py PARENT SIGNAL UID GID PROGRAM [ARGUMENT…]`.

A script of its own instead of a `preexec_fn`, which may deadlock in a process with threads. The pid stays the same.
UID and GID may be `-` (keep them). On systems without `prctl` the program outlives a killed parent; the next start of
the stack ends it by the record in `run/`.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Drop privileges, ask for the signal, become the program."""
    parent, death_signal, uid, gid, *command = sys.argv[1:]
    os.umask(0o077)
    if uid != "-":
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    # After the change of user, which clears the setting.
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("the parent ended before the program was started")
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
