"""Sandbox processes that begin with everything imported: forks of one that does nothing else.

A third of the time of end-to-end tests would go into starting Python for their sandboxes. What
runs in a fork is ``tianqin_backtrader.sandbox.__main__`` as in a process of its own; tests of the
command line start real ones.
"""

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from importlib import import_module

MODULE = ["-m", "tianqin_backtrader.sandbox"]
#: What a sandbox imports at its first login, its first query, or to play a file.
WHEN_NEEDED = (
    "jwt",
    "graphql",
    "pandas",
    "pyarrow.parquet",
    "tianqin_backtrader.sandbox.market.replay",
)


def can_follow_processes():
    """Whether this system tells of the end of processes that are no children."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


class Fork:
    """A process as ``subprocess.Popen`` shows it, as far as ``embedded`` asks."""

    def __init__(self, pid, pidfd, stdin, stdout):
        self.pid, self.stdin, self.stdout = pid, stdin, stdout
        self._pidfd, self.returncode = pidfd, None

    def poll(self):
        if self.returncode is None and select.select([self._pidfd], [], [], 0)[0]:
            self.returncode = 0
        return self.returncode

    def wait(self, timeout=None):
        if self.returncode is None:
            if not select.select([self._pidfd], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(MODULE, timeout)
            self.returncode = 0
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has just ended by itself
                signal.pidfd_send_signal(self._pidfd, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def __del__(self):
        os.close(self._pidfd)


class WarmStarts:
    """Stands in ``embedded`` for the ``subprocess`` module."""

    PIPE, DEVNULL = subprocess.PIPE, subprocess.DEVNULL
    TimeoutExpired = subprocess.TimeoutExpired

    def __init__(self):
        self._line, self._server = None, None

    def Popen(self, command, *, stdin=None, stdout=None, stderr=None, **how):
        if command[1:3] != MODULE or how.get("env") is not None:
            return subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, **how)
        if self._server is None or self._server.poll() is not None:
            self._start()
        (child_in, our_out), (our_in, child_out) = os.pipe(), os.pipe()
        asked = json.dumps({"argv": command[3:], "cwd": os.getcwd(), "env": dict(os.environ)})
        fds = [child_in, child_out, stderr.fileno()]
        socket.send_fds(self._line, [b"%8d" % len(asked.encode())], fds)
        self._line.sendall(asked.encode())
        os.close(child_in)
        os.close(child_out)
        _, [pidfd], *_ = answer = socket.recv_fds(self._line, 16, 1)
        return Fork(int(answer[0]), pidfd, os.fdopen(our_out, "wb"), os.fdopen(our_in, "rb"))

    def _start(self):
        self._line, theirs = socket.socketpair()
        code = f"import sys; sys.path[:0] = {sys.path!r}; import warm_sandboxes as w; w.serve()"
        self._server = subprocess.Popen([sys.executable, "-c", code], stdin=theirs)
        theirs.close()

    def close(self):
        if self._server is not None:
            self._line.close()
            self._server.wait()


def serve():
    """Fork whenever it is asked to; ends with whoever asks."""
    from tianqin_backtrader.sandbox.__main__ import main

    for name in WHEN_NEEDED:
        import_module(name)
    gc.collect()
    gc.freeze()  # what is here already is garbage in no fork
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them here
    line = socket.socket(fileno=os.dup(0))
    while True:
        size, fds, *_ = socket.recv_fds(line, 8, 3)
        if not size:
            return
        asked = json.loads(line.recv(int(size), socket.MSG_WAITALL))
        pid = os.fork()
        if not pid:
            line.close()
            _become(main, fds, asked)
        pidfd = os.pidfd_open(pid)
        socket.send_fds(line, [b"%16d" % pid], [pidfd])
        for fd in (*fds, pidfd):
            os.close(fd)


def _become(main, fds, asked):
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    code = 1
    try:
        code = main(asked["argv"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
