"""Probes the sandbox in a process without namespaces, as many containers are; prints what it found."""

import errno
import json
import platform
import struct

from pettingllms.sandbox import seccomp
from pettingllms.sandbox.pool import Pool
from pettingllms.sandbox.probes import as_lines, probe
from pettingllms.sandbox.syscalls import CLONE, CLONE3, DENIED

NEW_NAMESPACES = 0x7E020000
"""All CLONE_NEW* of linux/sched.h that Docker refuses."""


def forbid():
    machine = platform.machine()
    numbers = [getattr(DENIED[name], machine) for name in ("unshare", "setns", "mount", "pivot_root")]
    clone, clone3 = (getattr(call, machine) for call in (CLONE, CLONE3))
    code = [
        (0x20, 0, 0, 0),  # load the number
        *((0x15, len(numbers) - place + 5, 0, number) for place, number in enumerate(numbers)),
        (0x15, 0, 2, clone),
        (0x20, 0, 0, 16),  # load the first argument
        (0x45, 3, 2, NEW_NAMESPACES),
        (0x15, 0, 1, clone3),
        (0x06, 0, 0, 0x50000 | errno.ENOSYS),
        (0x06, 0, 0, 0x7FFF0000),
        (0x06, 0, 0, 0x50000 | errno.EPERM),
    ]
    seccomp.install(b"".join(struct.pack("=HBBI", *one) for one in code))


if __name__ == "__main__":
    seccomp.prctl(seccomp.PR_SET_NO_NEW_PRIVS, 1)
    forbid()
    pool = Pool(1)
    data = probe(pool).data()
    pool.close()
    print(json.dumps({**data, "lines": as_lines(data)}))
