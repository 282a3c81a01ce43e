"""What is measured: the bare HTTP layer, or the real server with people's keys and an enrolled device."""

import http.client
import json
import os
import subprocess
import sys
import time

from harness import SERVER_CORE, Missing, Target, free_port, need, wait_for_port

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "packaging", "demo"))

from processes import Failed  # noqa: E402
from tool import Tool  # noqa: E402

KIND = "kiosk-x64"
MODEL = "bench"
VERSION = "1.0.0"
BARE_ANSWER = '{"type":"idle","poll_seconds":30,"revision":12345,"token":null,"assignment":null}'


class BareWorld:
    """The HTTP layer alone (bare_server.cpp): what the real server's figures can reach at most."""

    def __init__(self, run):
        self.run, self.ours, self.peer = run, None, None

    def server(self):
        if self.ours is None:
            cert, key = self.run.certificate()
            plain, tls = free_port(), free_port()
            process = self.run.start([self.run.binary("bare_server"), str(plain), str(tls), cert, key,
                                      self.run.big_file()], SERVER_CORE, "bare_server.out")
            wait_for_port(tls, process)
            self.ours = Target("bare_server", plain, tls, process, "/blob")
        return self.ours

    def nginx(self):
        if self.peer is None:
            self.peer = self.run.nginx(BARE_ANSWER)
        return self.peer


def policy():
    """What a package says about checking it; pass_validator does not look."""
    return {
        "version": 1, "model": {"file": "model.onnx", "runtime": "onnx"},
        "validation": {
            "golden": {"inputs": "golden/inputs.f32", "outputs": "golden/outputs.f32", "samples": 1, "input_shape": [1],
                       "output_shape": [1], "atol": 0.01, "min_agreement": 1.0},
            "latency": {"budget_us": 1000000, "max_ratio_to_incumbent": 100.0, "runs": 1},
            "memory": {"budget_bytes": 1 << 30}, "timeout_seconds": 60},
        "confirmation": {"deadline_seconds": 20, "healthy_reports": 1, "max_restarts": 2}}


def wait_for(file, seconds=20):
    deadline = time.monotonic() + seconds
    while not os.path.exists(file) or os.path.getsize(file) == 0:
        if time.monotonic() > deadline:
            raise Missing(f"{file} was not written")
        time.sleep(0.02)


class Server:
    """A real drover-server on the server's core, and the tool logged in to it."""

    def __init__(self, run, name, devices=0):
        self.run, self.folder = run, run.path(name)
        os.makedirs(os.path.join(self.folder, "data"))
        self.plain, self.tls = free_port(), free_port()
        self.url = f"https://127.0.0.1:{self.tls}"
        self.tool = Tool(run.binary("drover"), os.path.join(self.folder, "profile"), log=os.path.join(self.folder, "tool.log"))
        self.process, self.key = None, None
        self.start()
        token_file = os.path.join(self.folder, "admin.token")
        wait_for(token_file)
        self.call("login", self.url, "--token-file", token_file, "--ca", run.certificate()[0])
        with open(token_file, encoding="ascii") as file:
            self.admin_token = file.read().strip()
        if devices:
            self.stop()
            subprocess.run([run.binary("fleet_fill"), os.path.join(self.folder, "data", "drover.db"), str(devices)], check=True)
            self.start()

    def start(self):
        cert, key = self.run.certificate()
        self.process = self.run.start(
            [self.run.binary("drover-server"), "--data", os.path.join(self.folder, "data"), "--listen",
             f"127.0.0.1:{self.tls}", "--plain-listen", f"127.0.0.1:{self.plain}", "--tls-certificate", cert, "--tls-key",
             key, "--admin-token-file", os.path.join(self.folder, "admin.token"), "--poll-seconds", "30", "--log-level",
             "warn"], SERVER_CORE, os.path.basename(self.folder) + ".out")
        wait_for_port(self.tls, self.process)

    def stop(self):
        self.run.stop(self.process)

    def call(self, *arguments, **options):
        try:
            return self.tool.run(*arguments, **options)
        except Failed as reason:
            raise Missing(str(reason)) from reason

    def ask(self, method, path, body=None, token=None):
        """Status and body, in one request on a new connection without TLS."""
        connection = http.client.HTTPConnection("127.0.0.1", self.plain, timeout=120)
        connection.request(method, "/api/v1" + path, body=None if body is None else body if isinstance(body, str) else
                           json.dumps(body), headers={"Authorization": f"Bearer {token or self.admin_token}",
                                                      "Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, text

    def make_trust(self):
        self.key = os.path.join(self.folder, "people.key")
        self.call("keys", "generate", self.key, "--no-passphrase")
        self.call("trust", "init", "--root-key", self.key, "--targets-key", self.key)
        self.call("trust", "delegate", MODEL, "--release-key", self.key + ".pub", "--threshold", "1", "--targets-key", self.key)

    def publish(self, model_file, version=VERSION):
        """A signed release whose model is that file."""
        if self.key is None:
            self.make_trust()
        package, release = os.path.join(self.folder, "package-" + version), os.path.join(self.folder, "release-" + version)
        os.makedirs(os.path.join(package, "golden"))
        os.link(model_file, os.path.join(package, "model.onnx"))
        for name in ("inputs", "outputs"):
            with open(os.path.join(package, "golden", name + ".f32"), "wb") as file:
                file.write(b"\0\0\0\0")
        with open(os.path.join(package, "drover.json"), "w", encoding="utf-8") as file:
            json.dump(policy(), file)
        self.call("release", "build", MODEL, version, "--variant", f"{KIND}={package}", "--out", release, seconds=300)
        self.call("release", "sign", release, "--key", self.key)
        self.call("release", "push", release, seconds=300)

    def enrolment_token(self):
        return json.loads(self.call("enrolment", "create", "bench", "--expires", "1d", "--json"))["token"]

    def target(self, model_file):
        """With the session of a device that has nothing new to learn."""
        out = subprocess.run([self.run.binary("device_session"), self.url, self.run.certificate()[0], self.enrolment_token(),
                              KIND], capture_output=True, text=True, check=False)
        if out.returncode != 0:
            raise Missing(out.stderr.strip())
        _, token, body = out.stdout.splitlines()
        digest = subprocess.run([need("sha256sum"), model_file], check=True, capture_output=True, text=True).stdout.split()[0]
        return Target("drover-server", self.plain, self.tls, self.process, f"/api/v1/blobs/sha256:{digest}", token, body)


class RealWorld:
    def __init__(self, run):
        self.run, self.ours, self.peer, self.real = run, None, None, None

    def server(self):
        if self.ours is None:
            model = self.run.big_file()
            self.real = Server(self.run, "server")
            self.real.publish(model)
            self.ours = self.real.target(model)
        return self.ours

    def nginx(self):
        if self.peer is None:
            ours = self.server()
            status, answer = self.real.ask("POST", "/device/checkin", ours.body, ours.token)
            if status != 200 or b'"assignment"' in answer:
                raise Missing(f"the check-in is not idle: {status} {answer[:200]!r}")
            self.peer = self.run.nginx(answer.decode())
        return self.peer
