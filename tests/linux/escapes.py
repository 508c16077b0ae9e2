"""What a script may try to do to what is not its own, each tried in the mode of this process.

Started by test_escapes.py as a program of its own, as root or as somebody else, with the right to
mount or without; it prints as JSON what each attempt did. It needs nothing but overlaylab.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import pty
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from overlaylab import Lab
from overlaylab.linux import confine, namespaces, sandbox, view

#: Shell scripts; ``{out}`` is a directory that is not theirs.
WRITES = {
    "overwrite a file": "echo x > {out}/etc/passwd",
    "append to a file": "echo x >> {out}/etc/passwd",
    "truncate a file": "truncate -s 1 {out}/etc/passwd",
    "write into a file's middle": "echo x | dd of={out}/etc/passwd conv=notrunc",
    "edit a file in place": "sed -i s/root/me/ {out}/etc/passwd",
    "write through a link of its own": "ln -s {out}/etc/passwd link; echo x > link",
    "write through ..": "p=$(pwd | sed 's,[^/]*,..,g'); echo x > $p/{out}/etc/passwd",
    "make a file": "echo x > {out}/etc/new",
    "make a directory": "mkdir {out}/etc/new",
    "make a link": "ln -s x {out}/etc/new",
    "make a pipe": "mkfifo {out}/etc/new",
    "link its own file outside": "ln file {out}/etc/new",
    "link a file of outside": "ln {out}/etc/passwd {out}/etc/new",
    "move its own file outside": "mv file {out}/etc/new",
    "move a file of outside in": "mv {out}/etc/passwd mine",
    "rename a file of outside": "mv {out}/etc/passwd {out}/etc/renamed",
    "remove a file": "rm -f {out}/etc/passwd",
    "remove a directory": "rm -rf {out}/etc",
    "remove everything": "rm -rf {out}/*",
    "remove everything from above": "cd {out} && rm -rf *",
    "replace a file": "cp file {out}/etc/passwd",
    "unpack an archive": "tar cf - file | tar xf - -C {out}",
}

#: Landlock does not cover these (Documentation/userspace-api/landlock.rst).
ATTRIBUTES = {
    "change a mode": "chmod 777 {out}/etc/passwd",
    "change modes all over": "chmod -R 0 {out}",
    "change an owner": "chown $(id -u):$(id -g) {out}/etc/passwd",
    "change times": "touch {out}/etc/passwd",
    "set an xattr": '{python} -I -c \'import os; os.setxattr("{out}/etc/passwd", "user.x", b"x")\'',
}

#: Shell scripts that end with GOT if the kernel let them; what they did is looked at besides.
OTHERS = {
    "write through another process's root": "echo x > /proc/{pid}/root{out}/etc/passwd",
    "write through another's directory": "echo x > /proc/{pid}/cwd/etc/passwd",
    "write through another's open file": "echo x > /proc/{pid}/fd/{fd}",
    "chmod through another's root": "chmod 777 /proc/{pid}/root{out}/etc/passwd",
    "chmod through another's open file": "chmod 777 /proc/{pid}/fd/{fd}",
    "make another the first to be killed": "echo 1000 > /proc/{by}/oom_score_adj",
    "set a value of the kernel": "f=/proc/sys/vm/swappiness; v=$(cat $f); echo $v > $f && echo GOT",
    "press a magic key": "echo h > /proc/sysrq-trigger && echo GOT",
    "make a cgroup": "cd /sys/fs/cgroup && mkdir overlaylab-x && rmdir overlaylab-x && echo GOT",
    "kill a process": "kill -KILL {by}",
    "stop a process": "kill -STOP {by}",
    "signal everybody": "kill -USR1 -1",
    "signal the kernel's own process": "kill -USR1 {pid}",
    "slow a process down": "renice -n 19 -p {by}",
    "slow a user's processes down": "renice -n 19 -u $(id -u)",
    "bind a process to a processor": "taskset -p 1 {by}",
    "limit a process": "prlimit --pid {by} --cpu=1000",
    "leave a process": "sleep {mark} & echo left",
    "leave a process in another session": "setsid sleep {mark} >/dev/null 2>&1 & sleep 0.1",
    "leave one with a clean environment": "setsid env -i sleep {mark} >/dev/null 2>&1 & sleep 0.1",
    "leave one of an ended parent": "(setsid env -i sh -c 'sleep {mark} &' >/dev/null 2>&1 &)\n"
    "sleep 0.1",
    "make everything writable": "mount -o remount,rw /; mount -o remount,bind,rw /\n"
    "mount -o remount,rw {out} && echo GOT",
    "mount over a directory": "mount -t tmpfs x {out} && echo GOT",
    "bind a directory": "mount --bind {out} /mnt && echo GOT",
    "unmount its own fence": "umount -l /tmp && echo GOT",
    "a mount namespace": "unshare -m true && echo GOT",
    "a user namespace": "unshare -Ur true && echo GOT",
    "enter another's namespaces": "nsenter -t {pid} -m true && echo GOT",
    "a disk in its /tmp": "mknod $TMPDIR/d b 7 0 && echo GOT",
    "a disk in merged": "mknod d b 7 0 && head -c 1 d && echo GOT",
    "the memory as a device": "mknod m c 1 1 && head -c 1 m && echo GOT",
    "write into the kernel's log": "echo overlaylab > /dev/kmsg && echo GOT",
    "write to a terminal": "echo x > {pty}",
    "leave a file in shared memory": "echo x > /dev/shm/overlaylab-x && echo GOT",
    "set the clock": 'date -s "$(date)" && echo GOT',
    "name the machine": "hostname overlaylab-x",
    "make a file immutable": "chattr +i {out}/etc/passwd && echo GOT",
    "a network interface": "ip link add dummy9 type dummy && echo GOT",
    "send a request through the shell": "exec 3<>/dev/tcp/127.0.0.1/{tcp}",
}

#: The same in Python; `call` makes a system call by its name and `tried` says GOT for any answer
#: but "not permitted", "no such call" and "no such process".
PRELUDE = """
import ctypes, errno, fcntl, os, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    words = [ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments]
    return libc.syscall(ctypes.c_long(number), *words)
def tried(result):
    refused = (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP, errno.ESRCH)
    if result >= 0 or ctypes.get_errno() not in refused:
        print("GOT", result, ctypes.get_errno())
def connect(family, kind, address):
    with socket.socket(family, kind) as one:
        one.settimeout(1); one.connect(address); one.send(b"overlaylab")
"""
PYTHON = {
    "leave its root directory": "os.mkdir('x'); top = os.open('/', 0); os.chroot('x')\n"
    "os.fchdir(top)\nfor _ in range(64): os.chdir('..')\nos.chroot('.')\n"
    "open('{out}/etc/passwd', 'a').write('x')",
    "a connection to this machine": 'connect(2, 1, ("127.0.0.1", {tcp}))',
    "a datagram to this machine": 'connect(2, 2, ("127.0.0.1", {udp}))',
    "a connection over IPv6": 'connect(10, 1, ("::1", {tcp}))',
    "a connection to a socket with a path": 'connect(1, 1, "{places}/stream")',
    "a datagram to a socket with a path": 'connect(1, 2, "{places}/datagram")',
    "a connection to an abstract socket": 'connect(1, 1, "\\0{abstract}")',
    "a connection through io_uring": "tried(call({io_uring_setup}, 1, b'\\0' * 120))",
    "a socket of virtual machines": "socket.socket(40, 1); print('GOT')",
    "a socket of the kernel's ciphers": "socket.socket(38, 5); print('GOT')",
    "a raw socket": "socket.socket(2, 3, 1); print('GOT')",
    "a packet socket": "socket.socket(17, 3, 3); print('GOT')",
    "mount_setattr": "a = struct.pack('4Q', 0, 1, 0, 0)\n"
    "tried(call({mount_setattr}, -100, b'/', 0x8000, a, 32))",
    "open_tree": "tried(call({open_tree}, -100, b'/', 1))",
    "fsopen": "tried(call({fsopen}, b'tmpfs', 0))",
    "fspick": "tried(call({fspick}, -100, b'/', 0))",
    "pivot_root": "tried(call({pivot_root}, b'.', b'.'))",
    "setns": "tried(call({setns}, os.open('/proc/{pid}/ns/mnt', os.O_RDONLY), 0))",
    "clone with a user namespace": "p = call({clone}, 0x10000000 | 17, 0, 0, 0, 0)\n"
    "os._exit(0) if p == 0 else tried(p)",
    "ptrace": "tried(call({ptrace}, 16, {by}, 0, 0))",
    "write into another's memory": "b = ctypes.create_string_buffer(8)\n"
    "v = struct.pack('PN', ctypes.addressof(b), 1)\n"
    "tried(call({process_vm_writev}, {by}, v, 1, v, 1, 0))",
    "open another's memory": "os.open('/proc/{by}/mem', os.O_RDWR); print('GOT')",
    "take another's open file": "tried(call({pidfd_getfd}, os.pidfd_open({pid}), {fd}, 0))",
    "stop a process by its descriptor": "import signal\n"
    "signal.pidfd_send_signal(os.pidfd_open({by}), signal.SIGSTOP)",
    "compare another's descriptors": "tried(call({kcmp}, {pid}, {by}, 0, 0, 0))",
    "open_by_handle_at": "tried(call({open_by_handle_at}, -100, b'\\0' * 8, 0))",
    "a key of the user": "tried(call({add_key}, b'user', b'overlaylab-x', b'x', 1, -4))",
    "keyctl": "tried(call({keyctl}, 0, -4, 1))",
    "bpf": "tried(call({bpf}, 5, b'\\0' * 120, 120))",
    "perf_event_open": "tried(call({perf_event_open}, b'\\0' * 120, 0, -1, -1, 0))",
    "userfaultfd": "tried(call({userfaultfd}, 0))",
    "fanotify": "tried(call({fanotify_init}, 0, 0))",
    "load a module": "tried(call({init_module}, 0, 0, b''))",
    "load another kernel": "tried(call({kexec_load}, 0, 0, 0, 0))",
    "switch a key of the machine off": "tried(call({reboot}, 0xfee1dead, 672274793, 0, 0))",
    "swap": "tried(call({swapon}, b'{out}/etc/passwd', 0))",
    "accounting": "tried(call({acct}, 0))",
    "adjust the clock": "tried(call({adjtimex}, struct.pack('I204x', 1)))",
    "set the clock by its call": "tried(call({clock_settime}, 0, struct.pack('2q', 1 << 31, 0)))",
    "type into a terminal": "f = os.open('{pty}', os.O_RDONLY | os.O_NOCTTY)\n"
    "[fcntl.ioctl(f, 0x5412, bytes([c])) for c in b'id;']",
    "a loop device": "fcntl.ioctl(os.open('/dev/loop-control', os.O_RDWR), 0x4C82); print('GOT')",
    "a filesystem in a program": "os.open('/dev/fuse', os.O_RDWR); print('GOT')",
    "a tunnel": "os.open('/dev/net/tun', os.O_RDWR); print('GOT')",
    "a virtual machine": "os.open('/dev/kvm', os.O_RDWR); print('GOT')",
    "shared memory that stays": "print('GOT') if call({shmget}, 0x4F4C, 4096, 0o1600) >= 0 else 0",
    "a queue of messages that stays": "print('GOT') if call({msgget}, 0x4F4C, 0o1600) >= 0 else 0",
}
#: What the attempts of the last two tables are about; those of the first two are kinds themselves.
KINDS = {
    "write to and remove files": (*WRITES,),
    "change modes, owners, times and xattrs": (*ATTRIBUTES,),
    "reach files in another way": (
        "leave its root directory",
        *("write through another process's root", "write through another's directory"),
        *("write through another's open file", "chmod through another's root"),
        *("chmod through another's open file", "take another's open file", "open_by_handle_at"),
    ),
    "signal, trace and limit other processes": (
        *("make another the first to be killed", "kill a process", "stop a process"),
        *("signal everybody", "signal the kernel's own process", "slow a process down"),
        *("slow a user's processes down", "bind a process to a processor", "limit a process"),
        *("ptrace", "write into another's memory", "open another's memory"),
        *("stop a process by its descriptor", "compare another's descriptors"),
    ),
    "leave processes, memory or keys behind": (
        *("leave a process", "leave a process in another session"),
        *("leave one with a clean environment", "leave one of an ended parent"),
        *("leave a file in shared memory", "shared memory that stays"),
        *("a queue of messages that stays", "a key of the user", "keyctl"),
    ),
    "undo the fence by mounts and namespaces": (
        *("make everything writable", "mount over a directory", "bind a directory"),
        *("unmount its own fence", "a mount namespace", "a user namespace"),
        *("enter another's namespaces", "mount_setattr", "open_tree", "fsopen", "fspick"),
        *("pivot_root", "setns", "clone with a user namespace"),
    ),
    "use devices and terminals": (
        *("a disk in its /tmp", "a disk in merged", "the memory as a device"),
        *("write into the kernel's log", "write to a terminal", "type into a terminal"),
        *("a loop device", "a filesystem in a program", "a tunnel", "a virtual machine"),
        *("make a file immutable",),
    ),
    "talk over a network or a socket": (
        *("a network interface", "send a request through the shell"),
        *("a connection to this machine", "a datagram to this machine", "a connection over IPv6"),
        *("a connection to a socket with a path", "a datagram to a socket with a path"),
        *("a connection to an abstract socket", "a connection through io_uring"),
        *("a socket of virtual machines", "a socket of the kernel's ciphers", "a raw socket"),
        *("a packet socket",),
    ),
    "change the kernel: clock, modules, settings": (
        *("set a value of the kernel", "press a magic key", "make a cgroup", "set the clock"),
        *("name the machine", "bpf", "perf_event_open", "userfaultfd", "fanotify"),
        *("load a module", "load another kernel", "switch a key of the machine off", "swap"),
        *("accounting", "adjust the clock", "set the clock by its call"),
    ),
}

#: With an IPC namespace these succeed, and are gone with the script.
OWN_IPC = ("shared memory that stays", "a queue of messages that stays")


class Arena:
    """Things to lose, in a directory and as processes, and whether they are as they were."""

    def __init__(self, directory: Path) -> None:
        self.out = directory / "out"
        self.tools = directory / "tools"
        self.places = directory / "sockets"
        for place in (self.tools, self.places):
            place.mkdir()
        self.got: list[str] = []
        for number in (signal.SIGUSR1, signal.SIGTERM):
            signal.signal(number, lambda *_: self.got.append("a signal"))
        self.sockets = self._listen()
        main, side = pty.openpty()
        tty.setraw(side)
        os.set_blocking(main, False)
        os.set_blocking(side, False)
        self.terminal = (main, side)
        self.bystander: subprocess.Popen[bytes] | None = None
        self.mend()

    def mend(self) -> None:
        """Make everything as it was at first."""
        if self.out.exists():
            subprocess.run(["chmod", "-R", "u+rwX", self.out], check=False)
            shutil.rmtree(self.out)
        for name in ("etc/passwd", "etc/shadow", "home/me/notes"):
            (self.out / name).parent.mkdir(parents=True, exist_ok=True)
            (self.out / name).write_text("root:x:0:0")
        self.file = open(self.out / "etc/shadow", "r+")  # noqa: SIM115
        os.chdir(self.out)
        if self.bystander:
            self.bystander.kill()
            self.bystander.wait()
        quiet = subprocess.DEVNULL
        self.bystander = subprocess.Popen(["sleep", "1000"], stdout=quiet, stderr=quiet)
        os.setpriority(os.PRIO_PROCESS, 0, 0) if os.getuid() == 0 else None

    def _listen(self) -> dict[str, socket.socket]:
        self.abstract = f"overlaylab-{os.getpid()}"
        found = {}
        for name, family, kind, address in (
            ("tcp", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            ("udp", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            ("stream", socket.AF_UNIX, socket.SOCK_STREAM, str(self.places / "stream")),
            ("datagram", socket.AF_UNIX, socket.SOCK_DGRAM, str(self.places / "datagram")),
            ("abstract", socket.AF_UNIX, socket.SOCK_STREAM, f"\0{self.abstract}"),
        ):
            found[name] = socket.socket(family, kind)
            found[name].bind(address)
            if kind == socket.SOCK_STREAM:
                found[name].listen()
            found[name].setblocking(False)
        return found

    def words(self, mark: str) -> dict[str, object]:
        """What an attempt can name."""
        assert self.bystander is not None
        column = confine.MACHINES[platform.machine()][0]
        tables = {**confine.FORBIDDEN, **confine.LOOKED_INTO, **confine.TRACING, **confine.SHARED}
        numbers = {name: both[column] for name, both in tables.items()}
        return {
            **numbers,
            "out": self.out,
            "places": self.places,
            "pid": os.getpid(),
            "by": self.bystander.pid,
            "fd": self.file.fileno(),
            "tcp": self.sockets["tcp"].getsockname()[1],
            "udp": self.sockets["udp"].getsockname()[1],
            "abstract": self.abstract,
            "pty": os.ttyname(self.terminal[1]),
            "mark": mark,
            "python": os.path.realpath(sys.executable),
        }

    def state(self) -> dict[str, object]:
        """All that an attempt could have changed."""
        assert self.bystander is not None
        by = self.bystander.pid
        found: dict[str, object] = {}
        for path in [self.out, *sorted(self.out.rglob("*"))]:
            status = path.lstat()
            found[f"the file {path.relative_to(self.out)}"] = (status.st_ino, status.st_ctime_ns)
        found["the other process"] = self.bystander.poll()
        with contextlib.suppress(OSError):
            found["its state"] = Path(f"/proc/{by}/stat").read_text().split()[2] == "T"
            found["its niceness"] = os.getpriority(os.PRIO_PROCESS, by)
            found["its processors"] = os.sched_getaffinity(by)
            found["its limits"] = resource.prlimit(by, resource.RLIMIT_CPU)
            found["its score"] = Path(f"/proc/{by}/oom_score_adj").read_text()
        found["own niceness"] = os.getpriority(os.PRIO_PROCESS, 0)
        found["the name of the machine"] = os.uname().nodename
        found["the clock"] = round(time.time() - time.monotonic())
        return found

    def heard(self) -> Iterator[str]:
        """What reached somebody since the last time."""
        yield from self.got
        self.got.clear()
        for name, one in self.sockets.items():
            with contextlib.suppress(BlockingIOError):
                if one.type == socket.SOCK_STREAM:
                    one.accept()[0].close()
                else:
                    one.recv(100)
                yield f"a message to {name}"
        for end in self.terminal:
            with contextlib.suppress(BlockingIOError):
                os.read(end, 100)
                yield "something in the terminal"


def filled(text: str, words: dict[str, object]) -> str:
    """`text` with the words in braces replaced, of which it may have others."""
    for word, value in words.items():
        text = text.replace(f"{{{word}}}", str(value))
    return text


def running(mark: str) -> bool:
    """Is there a process ``sleep mark``?"""
    wanted = f"sleep\0{mark}\0".encode()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if entry.read_bytes() == wanted:
                return True
    return False


def _refused(*_: object) -> NoReturn:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def main() -> None:
    """Try everything; print the fences, and attempt → what it did, for those that did anything."""
    if "enter" in sys.argv:
        namespaces.enter()
    if "unfenced" in sys.argv:
        sandbox._enter = lambda fence: (fence.tmp, None)
    seeing = "view" in sys.argv
    if not seeing:  # what is out of sight is no test of a fence
        view.build = _refused
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory(dir=os.environ["OVERLAYLAB_SCRATCH"]) as directory:
        arena = Arena(Path(directory))
        attempts = {**WRITES, **ATTRIBUTES, **OTHERS, **PYTHON}
        with Lab("escapes") as lab:
            python = arena.words("")["python"]
            said = lab.mount("web", lower=[lab.layer("base")]).sh(f"{python} -I -S -c 'print(1)'")
            assert said.stdout == "1\n", f"scripts cannot run {python}: {said}"
            for number, (name, text) in enumerate(attempts.items()):
                words = arena.words(f"1000.{os.getpid()}{number}")
                script = filled(text, words)
                web = lab.mount(f"web{number}", lower=[lab.layer(f"base{number}", {"file": "x"})])
                if name in PYTHON:
                    program = (web.merged if seeing else arena.tools) / f"{number}.py"
                    program.write_text(PRELUDE + script)
                    seen = f"/merged/{number}.py" if seeing else program
                    script = f"{words['python']} -I -S {seen}"
                before = arena.state()
                said = web.sh(script, timeout=20).stdout
                time.sleep(0.02)
                after = arena.state()
                harm = [what for what in {**before, **after} if before.get(what) != after.get(what)]
                harm += arena.heard()
                if "GOT" in said and not (name in OWN_IPC and "mounts" in sandbox.kinds()):
                    harm.append(f"the kernel let it: {said.strip()}")
                if running(str(words["mark"])):
                    harm.append("a process that runs on")
                    subprocess.run(["pkill", "-KILL", "-f", f"sleep {words['mark']}"], check=False)
                if harm:
                    found[name] = ", ".join(harm)
                    arena.mend()
                web.unmount()
            report = {"fences": lab.backend.fences(), "backend": lab.backend.name}
        assert arena.bystander is not None
        arena.bystander.kill()
        arena.bystander.wait()
        arena.file.close()
        os.chdir("/")
    print(json.dumps({**report, "tried": list(attempts), "through": found}))


if __name__ == "__main__":
    main()
