"""Programs of tests that begin with everything imported: forks of a server that does nothing else.

Most of the time of a test that kills a program at each of its steps would go into starting Python.
"""

import contextlib
import importlib
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

LIBRARIES = ("backtrader", "pandas", "tqsdk", "tianqin_backtrader")


def run_main(module, *arguments, timeout=100):
    """Call ``main`` of a test's module in a process of its own.

    Returns:
        As ``subprocess.run`` does: the exit code, and what it said, as text.
    """
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload(LIBRARIES)
    with TemporaryDirectory() as folder:
        said = [str(Path(folder, name)) for name in ("out", "err")]
        place = os.getcwd(), dict(os.environ)
        process = context.Process(target=_become, args=(module, arguments, said, *place))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(module, timeout)
        texts = [Path(one).read_text(encoding="utf-8") for one in said]
        return subprocess.CompletedProcess(module, process.exitcode, *texts)


def _become(module, arguments, said, folder, environment):
    for number, name in enumerate(said, 1):
        with open(name, "wb") as file:
            os.dup2(file.fileno(), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    with contextlib.ExitStack() as ends:
        ends.callback(sys.stdout.flush)
        importlib.import_module(module).main(*arguments)
