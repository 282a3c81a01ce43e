"""What the end-to-end tests share: a real server, the tool, devices, and a plain HTTP client. Built on the demo's world.

Models here are a few bytes or megabytes of noise with a policy; a stand-in validator (any executable that keeps the
contract can be one) says about them what the package itself tells it to say.
"""

import http.client
import json
import os
import shutil
import ssl
import sys
import tempfile
import unittest

SOURCE = os.environ["DROVER_SOURCE_DIR"]
BIN = os.environ["DROVER_BIN_DIR"]
sys.path.insert(0, os.path.join(SOURCE, "packaging", "demo"))

from processes import Failed, wait_until  # noqa: E402
from world import World, write_json  # noqa: E402

KIND = "kiosk-x64"


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The error code of a problem document."""
        return self.json.get("code")

    def __repr__(self):
        return f"{self.status} {self.body[:400]!r}"


class Http:
    """One request a connection, as a client that knows nothing of the server would send it."""

    def __init__(self, world, token=None):
        self._port = world.port
        self._context = ssl.create_default_context(cafile=world.certificate)
        self.token = token

    def request(self, method, path, body=None, headers=None, seconds=20):
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        headers = {"Content-Type": "application/json", **(headers or {})}
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, context=self._context, timeout=seconds)
        try:
            connection.request(method, path if path.startswith("/api") or path.startswith("/h") else "/api/v1" + path,
                               body=body, headers=headers)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.request("POST", path, body if body is not None else {}, **options)


def policy(samples=1):
    return {
        "version": 1,
        "model": {"file": "model.onnx", "runtime": "onnx"},
        "validation": {
            "golden": {"inputs": "golden/inputs.f32", "outputs": "golden/outputs.f32", "samples": samples,
                       "input_shape": [1], "output_shape": [1], "atol": 0.01, "min_agreement": 1.0},
            "latency": {"budget_us": 1000000, "max_ratio_to_incumbent": 100.0, "runs": 1},
            "memory": {"budget_bytes": 268435456},
            "timeout_seconds": 20,
        },
        "confirmation": {"deadline_seconds": 20, "healthy_reports": 1, "max_restarts": 2},
    }


class Scene(World):
    """A world with trust for one model, whose releases are signed by one person."""

    model = "noise"

    def __init__(self):
        super().__init__(tempfile.mkdtemp(prefix="drover-e2e."), BIN)
        self.validator = os.path.join(SOURCE, "tests", "e2e", "stand_in_validator.py")

    def application(self, device):
        return ["/usr/bin/python3", "-BES", os.path.join(SOURCE, "tests", "e2e", "stand_in_app.py"), device.state, self.model]

    def open(self, threshold=1):
        self.start_server()
        self.tool.run("trust", "init", "--root-key", self.key("root"), "--targets-key", self.key("targets"))
        signers = [a for name in ("alice", "bob")[:threshold] for a in ("--release-key", self.key(name) + ".pub")]
        self.tool.run("trust", "delegate", self.model, *signers, "--threshold", threshold, "--targets-key",
                      self.key("targets"))
        self.prepare_enrolment()
        return self

    def http(self, token=None):
        if token is None:
            with open(self.admin_token_file, encoding="utf-8") as file:
                token = file.read().strip()
        return Http(self, token)

    def token(self, role):
        return self.tool.json("token", "create", f"a {role}", "--role", role)["token"]

    def make_package(self, name, size=1000, wish=None, **changes):
        """A folder with the files of one variant; `changes` replace parts of its policy."""
        folder = self.path("packages", name)
        os.makedirs(os.path.join(folder, "golden"))
        for file, length in (("model.onnx", size), ("golden/inputs.f32", 4), ("golden/outputs.f32", 4)):
            with open(os.path.join(folder, file), "wb") as out:
                out.write(os.urandom(length))
        if wish:
            with open(os.path.join(folder, "wish.txt"), "w", encoding="utf-8") as file:
                file.write(wish)
        write_json(os.path.join(folder, "drover.json"), {**policy(), **changes})
        return folder

    def build(self, version, folder, *options):
        out = self.path("releases", version)
        self.tool.run("release", "build", self.model, version, "--variant", f"{KIND}={folder}", "--out", out, *options)
        return out

    def publish(self, version, size=1000, wish=None):
        out = self.build(version, self.make_package(version, size, wish))
        self.tool.run("release", "sign", out, "--key", self.key("alice"))
        self.tool.run("release", "push", out)
        return out

    def roll_out(self, version, *stages, group="all"):
        self.ensure_group(group)
        made = self.tool.json("rollout", "create", "--name", version, "--model", self.model, "--release", version,
                              "--group", group, *[a for s in stages or ("100%,auto",) for a in ("--stage", s)])
        return made["id"]

    def join(self, name, bytes_per_second=0):
        """A device that has enrolled."""
        device = self.add_device(name, KIND, bytes_per_second)
        device.start()
        wait_until(f"{name} enrols", 30, lambda: self.device_rows().get(name, {}).get("state") == "active", 0.2)
        return device

    def ensure_group(self, group):
        if group not in {row["name"] for row in self.tool.json("group", "list")["items"]}:
            self.tool.run("group", "create", group, "--query", f'kind = "{KIND}"')

    def rollout(self, rollout):
        return self.tool.rollout(rollout)

    def close(self, keep=False):
        self.processes.stop_all()
        if keep:
            print(f"kept: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


class SceneTest(unittest.TestCase):
    """One scene for all tests of a class; its folder is kept when one of them fails."""

    @classmethod
    def setUpClass(cls):
        cls.failures_before = 0
        cls.scene = Scene()
        try:
            cls.prepare(cls.scene)
        except BaseException:
            cls.scene.close(keep=True)
            raise

    @classmethod
    def prepare(cls, scene):
        scene.open()

    @classmethod
    def tearDownClass(cls):
        cls.scene.close(keep=cls.failures_before > 0)

    def run(self, result=None):
        out = super().run(result)
        if result is not None and (result.failures or result.errors):
            type(self).failures_before += 1
        return out


__all__ = ["BIN", "Failed", "Http", "KIND", "SOURCE", "Scene", "SceneTest", "policy", "unittest", "wait_until", "write_json"]
