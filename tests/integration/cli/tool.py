"""The `drover` tool as a process of its own, and model folders to feed it."""

import hashlib
import json
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

BIN = os.environ["DROVER_BIN_DIR"]


class Outcome:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    def __repr__(self):
        return f"exit status {self.code}\n--- out\n{self.out}--- err\n{self.err}"

    def json(self):
        return json.loads(self.out)


class ToolCase(unittest.TestCase):
    """A folder and a profile of its own for every test."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="drover-cli-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def drover(self, *arguments, profile="profile", seconds=60, environment=None):
        kept = {k: v for k, v in os.environ.items() if not k.startswith("DROVER_")}
        done = subprocess.run([os.path.join(BIN, "drover"), *map(str, arguments)], text=True, capture_output=True, timeout=seconds,
                              stdin=subprocess.DEVNULL, env={**kept, "DROVER_CONFIG": self.path(profile), **(environment or {})})
        return Outcome(done)

    def ok(self, *arguments, **options):
        outcome = self.drover(*arguments, **options)
        self.assertEqual(outcome.code, 0, f"drover {arguments}: {outcome}")
        return outcome

    def refused(self, code, sentence, *arguments, **options):
        """One line on standard error that holds `sentence`, nothing on standard output."""
        outcome = self.drover(*arguments, **options)
        self.assertEqual(outcome.code, code, f"drover {arguments}: {outcome}")
        self.assertIn(sentence, outcome.err)
        errors = [line for line in outcome.err.splitlines() if line.startswith("drover: ")]
        self.assertEqual(len(errors), 1, outcome.err)
        self.assertEqual(outcome.out, "")
        return outcome

    def key(self, name):
        self.ok("keys", "generate", self.path(name), "--no-passphrase")
        return self.path(name)

    def model(self, name, weights=b"weights"):
        """A package's files: as small as they may be."""
        folder = self.path(name)
        os.makedirs(os.path.join(folder, "golden"))
        for file, content in (("model.onnx", weights), ("golden/inputs.f32", struct.pack("<4f", 1, 2, 3, 4)),
                              ("golden/outputs.f32", struct.pack("<2f", 0, 1))):
            with open(os.path.join(folder, file), "wb") as out:
                out.write(content)
        golden = {"inputs": "golden/inputs.f32", "outputs": "golden/outputs.f32", "samples": 1, "input_shape": [4], "output_shape": [2],
                  "atol": 0.01, "min_agreement": 1.0}
        policy = {"version": 1, "model": {"file": "model.onnx", "runtime": "onnx"},
                  "validation": {"golden": golden, "latency": {"budget_us": 50000, "max_ratio_to_incumbent": 3.0, "runs": 5},
                                 "memory": {"budget_bytes": 268435456}, "timeout_seconds": 60},
                  "confirmation": {"deadline_seconds": 20, "healthy_reports": 3, "max_restarts": 2}}
        with open(os.path.join(folder, "drover.json"), "w", encoding="utf-8") as out:
            json.dump(policy, out)
        return folder

    def release(self, version="1.0.0", model="mnist", out=None):
        """A release folder with two variants."""
        out = out or self.path(f"{model}-{version}")
        x64 = self.model(f"files-{model}-{version}-x64", f"fp32 {version}".encode() * 1000)
        arm = self.model(f"files-{model}-{version}-arm", f"int8 {version}".encode() * 500)
        self.ok("release", "build", model, version, "--variant", f"kiosk-x64={x64},precision=fp32", "--variant", f"gate-arm64={arm},precision=int8",
                "--out", out)
        return out


def blob(folder, digest):
    with open(os.path.join(folder, "blobs", *digest.split(":")), "rb") as file:
        return file.read()


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()
