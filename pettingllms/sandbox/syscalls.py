"""Numbers of system calls that programs do not get, for x86_64 and aarch64."""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple


class Numbers(NamedTuple):
    """One system call: its number on each architecture, None where there is none."""

    x86_64: int | None
    aarch64: int | None


ARCHITECTURES = MappingProxyType({"x86_64": 0xC000003E, "aarch64": 0xC00000B7})
"""How the kernel names them (`AUDIT_ARCH_*` of linux/audit.h), by `platform.machine()`."""

HIGHEST = 451
"""Calls with higher numbers do not exist for programs: neither later ones nor those of the x32 interface."""

CLONE, CLONE3 = Numbers(56, 220), Numbers(435, 435)
"""The ways to a thread; the first is a way to a process, too."""

COMMANDED = MappingProxyType({"fcntl": Numbers(72, 25), "ioctl": Numbers(16, 29)})
"""Calls whose second argument is a command, of which `SIGNALLING` fail with EPERM."""

SIGNALLING = MappingProxyType(
    {"F_SETOWN": 8, "F_SETSIG": 10, "F_SETOWN_EX": 15, "FIOSETOWN": 0x8901, "SIOCSPGRP": 0x8902}
)
"""They say which signal goes to which process when a descriptor is ready (linux/fcntl.h, asm/sockios.h)."""

ON_ITSELF = MappingProxyType(
    {
        "kill": Numbers(62, 129),
        "tgkill": Numbers(234, 131),
        "prlimit64": Numbers(302, 261),
    }
)
"""Calls whose first argument is a process, which has to be the caller."""

DENIED = MappingProxyType(
    {
        # Blocks of a disk behind the end of a file, where no limit on its length counts them.
        "fallocate": Numbers(285, 47),
        # Networks. Pairs of sockets stay: asyncio needs one, and it leads nowhere.
        "socket": Numbers(41, 198),
        # Other processes.
        "fork": Numbers(57, None),
        "vfork": Numbers(58, None),
        "execve": Numbers(59, 221),
        "execveat": Numbers(322, 281),
        "tkill": Numbers(200, 130),
        "rt_sigqueueinfo": Numbers(129, 138),
        "rt_tgsigqueueinfo": Numbers(297, 240),
        "pidfd_open": Numbers(434, 434),
        "pidfd_getfd": Numbers(438, 438),
        "pidfd_send_signal": Numbers(424, 424),
        "ptrace": Numbers(101, 117),
        "process_vm_readv": Numbers(310, 270),
        "process_vm_writev": Numbers(311, 271),
        "process_madvise": Numbers(440, 440),
        "process_mrelease": Numbers(448, 448),
        "kcmp": Numbers(312, 272),
        "setpriority": Numbers(141, 140),
        "ioprio_set": Numbers(251, 30),
        "sched_setaffinity": Numbers(203, 122),
        "sched_setscheduler": Numbers(144, 119),
        "sched_setparam": Numbers(142, 118),
        "sched_setattr": Numbers(314, 274),
        "migrate_pages": Numbers(256, 238),
        "move_pages": Numbers(279, 239),
        # What outlives a process, and so would pass from one program to the next.
        "shmget": Numbers(29, 194),
        "semget": Numbers(64, 190),
        "msgget": Numbers(68, 186),
        "mq_open": Numbers(240, 180),
        "add_key": Numbers(248, 217),
        "request_key": Numbers(249, 218),
        "keyctl": Numbers(250, 219),
        # Files: what Landlock does not look at, and all but plain files in the scratch folder.
        "chmod": Numbers(90, None),
        "fchmod": Numbers(91, 52),
        "fchmodat": Numbers(268, 53),
        "chown": Numbers(92, None),
        "fchown": Numbers(93, 55),
        "lchown": Numbers(94, None),
        "fchownat": Numbers(260, 54),
        "setxattr": Numbers(188, 5),
        "lsetxattr": Numbers(189, 6),
        "fsetxattr": Numbers(190, 7),
        "removexattr": Numbers(197, 14),
        "lremovexattr": Numbers(198, 15),
        "fremovexattr": Numbers(199, 16),
        "utime": Numbers(132, None),
        "utimes": Numbers(235, None),
        "futimesat": Numbers(261, None),
        "utimensat": Numbers(280, 88),
        "truncate": Numbers(76, 45),
        "mkdir": Numbers(83, None),
        "mkdirat": Numbers(258, 34),
        "mknod": Numbers(133, None),
        "mknodat": Numbers(259, 33),
        "symlink": Numbers(88, None),
        "symlinkat": Numbers(266, 36),
        "link": Numbers(86, None),
        "linkat": Numbers(265, 37),
        "memfd_create": Numbers(319, 279),
        "memfd_secret": Numbers(447, 447),
        "name_to_handle_at": Numbers(303, 264),
        "open_by_handle_at": Numbers(304, 265),
        "inotify_init": Numbers(253, None),
        "inotify_init1": Numbers(294, 26),
        "fanotify_init": Numbers(300, 262),
        # File systems and namespaces.
        "mount": Numbers(165, 40),
        "umount2": Numbers(166, 39),
        "pivot_root": Numbers(155, 41),
        "chroot": Numbers(161, 51),
        "open_tree": Numbers(428, 428),
        "move_mount": Numbers(429, 429),
        "fsopen": Numbers(430, 430),
        "fsconfig": Numbers(431, 431),
        "fsmount": Numbers(432, 432),
        "fspick": Numbers(433, 433),
        "mount_setattr": Numbers(442, 442),
        "swapon": Numbers(167, 224),
        "swapoff": Numbers(168, 225),
        "quotactl": Numbers(179, 60),
        "quotactl_fd": Numbers(443, 443),
        "unshare": Numbers(272, 97),
        "setns": Numbers(308, 268),
        # Identity, and the terms under which the process runs.
        "setuid": Numbers(105, 146),
        "setgid": Numbers(106, 144),
        "setreuid": Numbers(113, 145),
        "setregid": Numbers(114, 143),
        "setresuid": Numbers(117, 147),
        "setresgid": Numbers(119, 149),
        "setfsuid": Numbers(122, 151),
        "setfsgid": Numbers(123, 152),
        "setgroups": Numbers(116, 159),
        "capset": Numbers(126, 91),
        "prctl": Numbers(157, 167),
        "seccomp": Numbers(317, 277),
        "personality": Numbers(135, 92),
        # Wide doors into the kernel.
        "bpf": Numbers(321, 280),
        "perf_event_open": Numbers(298, 241),
        "userfaultfd": Numbers(323, 282),
        "io_uring_setup": Numbers(425, 425),
        "io_uring_enter": Numbers(426, 426),
        "io_uring_register": Numbers(427, 427),
        "modify_ldt": Numbers(154, None),
        "iopl": Numbers(172, None),
        "ioperm": Numbers(173, None),
        "uselib": Numbers(134, None),
        # The machine.
        "settimeofday": Numbers(164, 170),
        "clock_settime": Numbers(227, 112),
        "adjtimex": Numbers(159, 171),
        "clock_adjtime": Numbers(305, 266),
        "sethostname": Numbers(170, 161),
        "setdomainname": Numbers(171, 162),
        "syslog": Numbers(103, 116),
        "acct": Numbers(163, 89),
        "vhangup": Numbers(153, 58),
        "reboot": Numbers(169, 142),
        "kexec_load": Numbers(246, 104),
        "kexec_file_load": Numbers(320, 294),
        "init_module": Numbers(175, 105),
        "finit_module": Numbers(313, 273),
        "delete_module": Numbers(176, 106),
    }
)
"""Calls that fail with EPERM."""
