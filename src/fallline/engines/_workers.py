"""Workers as the engine sees them: started, heard and ended; forked where that is safe, else started anew and sent their workbench."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from fallline.engines._serving import serve

if TYPE_CHECKING:
    from fallline._bench import Workbench

PR_SET_PDEATHSIG = 1  # of prctl(2): the kernel ends the child when its parent ends, however that ends
# not `-m`: the orders that it receives are classes of that module, which must not be there a second time as `__main__`
BODY = "import sys; from fallline.engines._serving import main; main(int(sys.argv[1]))"
FORKS = sys.platform == "linux"  # macOS forbids much of the system to a forked child
STARTS = os.name == "posix"  # Windows passes no pipe by its number


@dataclass(eq=False)
class Worker:
    """One worker process, as the engine sees it."""

    pid: int
    connection: Connection
    process: subprocess.Popen[bytes] | None = None  # None: forked, and waited for by number
    heard_at: float = field(default_factory=time.monotonic)

    def send(self, order: Any) -> None:
        """Give an order; one that a dead worker cannot take is found out when it is heard."""
        self.heard_at = time.monotonic()
        with contextlib.suppress(OSError):
            self.connection.send(order)

    def hear(self) -> Any:
        """What it says next; None when it has ended."""
        try:
            said = self.connection.recv()
        except (EOFError, OSError):
            return None
        self.heard_at = time.monotonic()
        return said

    def end(self) -> str:
        """Make sure that it has ended, and say how it did."""
        self.connection.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        if self.process is not None:
            code = self.process.wait()
        else:
            try:
                code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            except ChildProcessError:  # somebody else's handler has waited for it
                return "ended"
        return f"ended by signal {-code}" if code < 0 else f"ended with code {code}"


def forked(bench: Workbench, others: Sequence[Worker]) -> Worker:
    """A child that shares this process's memory: nothing is pickled or copied, and it is there within 30 ms.

    It never leaves this function: it serves, then ends without running what the parent registered for its own end.
    """
    ours, theirs = Pipe()
    parent = os.getpid()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of threads, whose locks the child never takes
        pid = os.fork()
    if pid:
        theirs.close()
        return Worker(pid, ours)
    code = 1
    try:
        ours.close()
        for other in others:  # an end that a sibling keeps open would hide from it that we are gone
            other.connection.close()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what it means
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:  # it may have ended before the line above
            serve(theirs, bench)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def started() -> Worker:
    """A process of its own; it imports torch first, which takes about two seconds, and then waits for the workbench."""
    ours, theirs = Pipe()
    with theirs:
        command = [sys.executable, "-c", BODY, str(theirs.fileno())]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
    worker = Worker(process.pid, ours, process)
    worker.send(sys.path)
    return worker


def all_started(count: int, shipped: bytes) -> list[Worker]:
    """So many processes, each with the workbench. All are started before the first is waited for, so that they load torch side by side."""
    workers = [started() for _ in range(count)]
    for worker in workers:
        with contextlib.suppress(OSError):  # one that ended at once is found out when it is heard
            worker.connection.send_bytes(shipped)  # a pipe takes 64 KiB unread, so this waits for the process to listen
    return workers


def shipped(bench: Workbench) -> bytes:
    """The workbench as bytes, functions of `__main__` and lambdas included.

    Raises:
        Exception: whatever cannot be pickled says so in its own way.
    """
    import cloudpickle

    data: bytes = cloudpickle.dumps(bench)
    return data
