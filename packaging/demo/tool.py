"""Calls the `drover` tool as a person would, and reads its --json."""

import json
import os
import subprocess

from processes import Failed


class ToolError(Failed):
    def __init__(self, arguments, code, text):
        super().__init__(f"drover {' '.join(arguments)}: exit status {code}\n{text}")
        self.code, self.text = code, text


class Tool:
    def __init__(self, binary, profile, environment=None, log=None):
        self.binary, self.profile, self.log = binary, profile, log
        self._environment = {**os.environ, **(environment or {}), "DROVER_CONFIG": profile}

    def run(self, *arguments, seconds=60, stdin=None, allowed=(0,)):
        """Standard output. ToolError for any exit status that is not allowed."""
        arguments = [str(a) for a in arguments]
        done = subprocess.run([self.binary, *arguments], env=self._environment, text=True, capture_output=True,
                              timeout=seconds, input=stdin if stdin is not None else "")
        if self.log:
            with open(self.log, "a", encoding="utf-8") as log:
                log.write(f"$ drover {' '.join(arguments)}\n{done.stdout}{done.stderr}-> {done.returncode}\n")
        if done.returncode not in allowed:
            raise ToolError(arguments, done.returncode, (done.stderr or done.stdout).strip())
        return done.stdout

    def rollout(self, rollout):
        """Its status; the exit status says where it stands (see `drover rollout status --help`), which is no error."""
        return self.json("rollout", "status", rollout, allowed=(0, 7, 8, 9))

    def json(self, *arguments, **options):
        text = self.run(*arguments, "--json", **options)
        try:
            return json.loads(text)
        except ValueError:
            raise Failed(f"drover {' '.join(map(str, arguments))} --json printed no JSON:\n{text[:500]}") from None
