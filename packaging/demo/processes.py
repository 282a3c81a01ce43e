"""Starts the demo's processes and ends exactly those, whatever happens."""

import os
import signal
import subprocess
import time


class Failed(Exception):
    """The demo did not go as told; the message is for people."""


def wait_until(what, seconds, probe, step=0.1):
    """The first true value of probe(); Failed("... within n s") when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(step)


class Process:
    """One child with its own log file; a restart appends to it."""

    def __init__(self, name, arguments, log, environment=None):
        self.name, self.log = name, log
        self._arguments = [str(a) for a in arguments]
        self._environment = {**os.environ, **(environment or {})}
        self._child = None
        self.expected = False  # to be running

    @property
    def pid(self):
        return self._child.pid

    @property
    def arguments(self):
        return self._arguments

    def start(self):
        self.expected = True
        with open(self.log, "ab") as log:
            # A session of its own: Ctrl-C reaches the demo alone, which then ends its children in order.
            self._child = subprocess.Popen(self._arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                           env=self._environment, start_new_session=True)
        return self

    def running(self):
        return self._child is not None and self._child.poll() is None

    def check(self):
        if not self.running():
            code = self._child.returncode if self._child else None
            raise Failed(f"{self.name} ended by itself (status {code}):\n{self.last_lines()}")

    def ask_to_stop(self):
        self.expected = False
        if self.running():
            self._child.terminate()

    def stop(self, seconds=10):
        """SIGTERM, and SIGKILL when that was not enough. Its exit status; None if it never ran."""
        self.ask_to_stop()
        return self.wait(seconds)

    def wait(self, seconds=10):
        if self._child is None:
            return None
        try:
            return self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._child.returncode

    def kill(self):
        """kill -9, as a power cut would."""
        self.expected = False
        if self.running():
            os.kill(self._child.pid, signal.SIGKILL)
            self._child.wait()

    def last_lines(self, count=15):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return "".join("    " + line for line in file.readlines()[-count:]).rstrip()
        except OSError:
            return "    (no log)"


class Processes:
    """All that this demo started. Ended in the reverse order of their first start."""

    def __init__(self):
        self._all = []

    def add(self, process):
        self._all.append(process)
        return process

    def stop_all(self):
        for process in reversed(self._all):
            process.ask_to_stop()
        end = time.monotonic() + 10
        for process in reversed(self._all):
            process.wait(max(0.1, end - time.monotonic()))

    def pids(self):
        return [process.pid for process in self._all if process.running()]
