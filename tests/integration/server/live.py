"""A real server for the tests of one class, people with tokens, devices with keys, and releases that the tool signs."""

import http.client
import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

BIN = os.environ["DROVER_BIN_DIR"]
KIND = "kiosk-x64"
MODEL = "noise"
SECONDS = 20  # for what ought to take milliseconds


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json.get("code")

    def __repr__(self):
        return f"{self.status} {self.headers.get('Content-Type')} {self.body[:500]!r}"


class Client:
    def __init__(self, port, token=None):
        self.port, self.token = port, token

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)

    def ask(self, method, path, body=None, headers=None):
        raw = isinstance(body, (bytes, str))
        data = body if body is None or raw else json.dumps(body)
        headers = {"Content-Type": "application/json", **(headers or {})}
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        connection = self.connect()
        try:
            whole = path if path.startswith(("/api", "/healthz", "/readyz", "/metrics")) else "/api/v1" + path
            connection.request(method, whole, body=data, headers=headers)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def get(self, path, **options):
        return self.ask("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.ask("POST", path, {} if body is None else body, **options)


class Server:
    def __init__(self, **settings):
        self.folder = tempfile.mkdtemp(prefix="drover-server.")
        self.settings = {"poll_seconds": 1, **settings}
        self.process, self.port = None, 0
        self.start()
        with open(self.path("admin.token"), encoding="utf-8") as file:
            self.admin = Client(self.port, file.read().strip())

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def start(self):
        command = [os.path.join(BIN, "drover-server"), "--data", self.path("data"), "--listen", "", "--plain-listen",
                   f"127.0.0.1:{self.port}", "--admin-token-file", self.path("admin.token"), "--log-level", "warn"]
        for name, value in self.settings.items():
            command += ["--" + name.replace("_", "-"), *([] if value is True else [str(value)])]
        with open(self.path("server.log"), "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            raise RuntimeError(f"the server does not start: {line!r}, see {self.path('server.log')}")
        self.port = int(line.rsplit(":", 1)[1])

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(SECONDS)
        if self.process:
            self.process.stdout.close()
        return self.process.returncode

    def restart(self, how=signal.SIGKILL):
        self.stop(how)
        self.start()

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def client(self, token=None):
        return Client(self.port, token)

    def person(self, role):
        made = self.admin.post("/tokens", {"name": f"{'an' if role[0] in 'ao' else 'a'} {role}", "role": role})
        assert made.status == 201, made
        return Client(self.port, made.json["token"])

    def metric(self, name):
        text = self.client().get("/metrics").body.decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                   if line.startswith((name + " ", name + "{")))

    # --- releases -----------------------------------------------------------------------------------------------------

    def tool(self, *arguments):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("DROVER_")}
        environment["DROVER_CONFIG"] = self.path("profile")
        done = subprocess.run([os.path.join(BIN, "drover"), *map(str, arguments)], text=True, capture_output=True,
                              timeout=60, stdin=subprocess.DEVNULL, env=environment)
        if done.returncode != 0:
            raise RuntimeError(f"drover {arguments}: {done.stderr or done.stdout}")

    def key(self, name):
        file = self.path(name + ".key")
        if not os.path.exists(file):
            self.tool("keys", "generate", file, "--no-passphrase")
        return file

    def trust(self):
        self.tool("login", f"http://127.0.0.1:{self.port}", "--token-file", self.path("admin.token"))
        self.tool("trust", "init", "--root-key", self.key("root"), "--targets-key", self.key("targets"))
        self.tool("trust", "delegate", MODEL, "--release-key", self.key("release") + ".pub", "--threshold", 1,
                  "--targets-key", self.key("targets"))

    def build(self, version, kinds=(KIND,)):
        variants = []
        for kind in kinds:
            folder = self.path("packages", version, kind)
            os.makedirs(folder)
            with open(os.path.join(folder, "model.onnx"), "wb") as file:
                file.write(os.urandom(2000))
            with open(os.path.join(folder, "drover.json"), "w", encoding="utf-8") as file:
                json.dump({"version": 1, "model": {"file": "model.onnx", "runtime": "onnx"},
                           "validation": {"timeout_seconds": 20},
                           "confirmation": {"deadline_seconds": 20, "healthy_reports": 1, "max_restarts": 2}}, file)
            variants += ["--variant", f"{kind}={folder}"]
        out = self.path("releases", version)
        self.tool("release", "build", MODEL, version, *variants, "--out", out)
        self.tool("release", "sign", out, "--key", self.key("release"))
        return out

    def publish(self, version, kinds=(KIND,)):
        self.tool("release", "push", self.build(version, kinds))

    def roll_out(self, version, group="all-kiosks", stages=None, **first_stage):
        if self.admin.get(f"/groups/{group}").status == 404:
            self.admin.post("/groups", {"name": group, "query": f'kind = "{KIND}"'})
        stages = stages or [{"percent": 100, "automatic": True, **first_stage}]
        return self.admin.post("/rollouts", {"name": version, "model": MODEL, "release": version, "group": group,
                                             "stages": stages})

    def rollout(self, rollout_id):
        return self.admin.get(f"/rollouts/{rollout_id}").json


def identity_digest(name, kind, attributes):
    text = json.dumps({"attributes": attributes, "kind": kind, "name": name}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Device:
    """What an agent says, without an agent. OpenSSL's command makes and uses the Ed25519 key."""

    def __init__(self, server, name, kind=KIND, enrolment=None, **attributes):
        self.server, self.name, self.kind, self.attributes = server, name, kind, attributes
        self.enrolment = enrolment
        self.key_file = server.path(f"device-{name}.pem")
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", self.key_file], check=True,
                       capture_output=True)
        der = subprocess.run(["openssl", "pkey", "-in", self.key_file, "-pubout", "-outform", "DER"], check=True,
                             capture_output=True).stdout
        self.public_key = der[-32:].hex()
        self.id = "d" + hashlib.sha256(der[-32:]).hexdigest()[:32]
        self.client = server.client()
        self.version, self.seq, self.installed, self.assignment = 0, 0, {}, None

    def sign(self, text):
        message = self.key_file + ".message"
        with open(message, "w", encoding="utf-8") as file:
            file.write(text)
        return subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.key_file, "-in", message],
                              check=True, capture_output=True).stdout.hex()

    def session(self):
        self.client = self.server.client()
        challenge = self.client.post("/device/challenge").json["challenge"]
        body = {"public_key": self.public_key, "challenge": challenge, "name": self.name, "kind": self.kind,
                "attributes": self.attributes, "signature": self.sign("drover-session-v1\n" + challenge)}
        if self.enrolment:
            body["enrolment_token"] = self.enrolment
        answer = self.client.post("/device/session", body)
        if answer.status == 200:
            self.client.token = answer.json["token"]
        return answer

    def body(self, **more):
        digest = identity_digest(self.name, self.kind, self.attributes)
        return {"assignment_version": self.version, "identity_digest": digest, **more}

    def checkin(self, **more):
        answer = self.client.post("/device/checkin", self.body(**more))
        if answer.status == 200:
            self.client.token = answer.json.get("token") or self.client.token
            if answer.json.get("assignment"):
                self.assignment = json.loads(answer.json["assignment"])["signed"]
                self.version = self.assignment["version"]
        return answer

    def target(self):
        """(path, custom) of the model's assigned target, or None."""
        targets = (self.assignment or {}).get("targets", {})
        return next(((path, target["custom"]) for path, target in targets.items()), None)

    def event(self, outcome, deployment, release, step="commit", **more):
        self.seq += 1
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return {"seq": self.seq, "at": now, "deployment": deployment, "model": MODEL, "release": release, "step": step,
                "outcome": outcome, **more}

    def signed_report(self, events):
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        installed = [{"model": m, "release": r, "package": "sha256:" + "0" * 64, "since": now}
                     for m, r in self.installed.items()]
        payload = json.dumps({"device_id": self.id, "boot_id": "b", "events": events, "installed": installed})
        return {"payload": payload, "signature": self.sign("drover-report-v1\n" + payload)}

    def report(self, *events):
        return self.checkin(report=self.signed_report(list(events)))

    def carry_out(self, outcome="succeeded", **more):
        """Does what it was assigned, and reports it."""
        path, custom = self.target()
        release = path.split("/")[1]
        if outcome == "succeeded":
            self.installed[MODEL] = release
        return self.report(self.event(outcome, custom["deployment"], release, **more))


class LiveCase(unittest.TestCase):
    """One server for all tests of the class."""

    settings = {}

    @classmethod
    def setUpClass(cls):
        cls.server = Server(**cls.settings)
        cls.addClassCleanup(cls.server.close)
        cls.admin = cls.server.admin
        cls.prepare()

    @classmethod
    def prepare(cls):
        pass

    def expect(self, answer, status, code=None):
        self.assertEqual(answer.status, status, answer)
        if code:
            self.assertEqual(answer.code, code, answer)
            self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        return answer

    def enrolment(self, **more):
        made = self.expect(self.admin.post("/enrolment-tokens", {"name": "line", "uses": 100, **more}), 201)
        return made.json["token"]

    def enrolled(self, name, **attributes):
        device = Device(self.server, name, enrolment=self.enrolment(), **attributes)
        self.expect(device.session(), 200)
        return device

    def wait_for(self, what, found):
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            value = found()
            if value:
                return value
            time.sleep(0.1)
        self.fail(f"in vain: {what}")
