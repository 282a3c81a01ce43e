"""What the stories of attacks share: a device whose server is in the hands of an attacker, what it runs and what it told."""

import copy
import json
import os
import re
import signal
import subprocess

from hostile import Hostile, Key, Reply, Thief, canonical
from scene import BIN, KIND, SceneTest, unittest, wait_until

NOT_FOUND = Reply(404, {"type": "about:blank", "title": "", "status": 404, "code": "not_found", "detail": "none"})
PATIENCE = 60  # seconds, for what takes two; the machine may be busy


def listens_to(pid, number):
    """The signal would not end it: a process that has just begun has no handler yet."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            caught = next(line for line in file if line.startswith("SigCgt:"))
    except (OSError, StopIteration):
        return False
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


class Story(SceneTest):
    """One device, "dut", that talks to the hostile server and runs the release that `prepare` leaves on it. Every test is
    one attack: it says what the device runs after it, what was told of it, and that the device goes on once it ends."""

    @classmethod
    def prepare(cls, scene):
        scene.open()
        cls.hostile = Hostile(scene)
        cls.addClassCleanup(cls.hostile.close)
        cls.real_url, scene.url = scene.url, cls.hostile.url
        cls.admin = scene.http()
        cls.thief = Thief(scene.data)
        cls.assignments = []  # of the real director, as they went by
        cls.hostile.twist = cls.remember
        cls.fresh, cls.ids = 0, {}

    @classmethod
    def remember(cls, request, reply):
        if request.is_checkin() and reply.status == 200 and reply.json.get("assignment"):
            cls.assignments.append(json.loads(reply.json["assignment"])["signed"])

    @classmethod
    def join_with(cls, **settings):
        """The device, with settings of its own."""
        device = cls.scene.add_device("dut", KIND)
        with open(device.config, encoding="utf-8") as file:
            settings = {**json.load(file), **settings}
        with open(device.config, "w", encoding="utf-8") as file:
            json.dump(settings, file)
        device.start()
        wait_until("it enrols", PATIENCE, lambda: "dut" in cls.scene.device_rows(), 0.2)

    @classmethod
    def deliver(cls, version, *options, **package):
        """Builds, signs and publishes a release, and waits until the device runs it."""
        cls.publish(version, *options, **package)
        cls.scene.roll_out(version)
        wait_until(f"the device runs {version}", PATIENCE, lambda: cls.poke() and cls.runs() == version, 0.2)

    @classmethod
    def publish(cls, version, *options, **package):
        out = cls.scene.build(version, cls.scene.make_package(version, **package))
        cls.scene.tool.run("release", "sign", out, "--key", cls.scene.key("alice"), *options)
        cls.scene.tool.run("release", "push", out)
        return out

    # --- the device ---------------------------------------------------------------------------------------------------

    @classmethod
    def device(cls):
        return cls.scene.devices["dut"]

    @classmethod
    def device_id(cls, name="dut"):
        if name not in cls.ids:
            cls.ids[name] = cls.scene.device_rows()[name]["id"]
        return cls.ids[name]

    @classmethod
    def poke(cls):
        """Check in now."""
        agent = cls.device().agent
        if agent.running() and listens_to(agent.pid, signal.SIGUSR1):
            os.kill(agent.pid, signal.SIGUSR1)
        return True

    @classmethod
    def status(cls):
        done = subprocess.run([os.path.join(BIN, "drover-agent"), "status", "--state", cls.device().state, "--json"],
                              capture_output=True, text=True, timeout=20)
        return json.loads(done.stdout) if done.returncode == 0 else {"slots": []}

    @classmethod
    def runs(cls):
        """The release of the slot, once the link that the application reads leads to the same package."""
        for slot in cls.status()["slots"]:
            if slot["model"] == cls.scene.model and slot["current"]:
                link = os.path.realpath(os.path.join(cls.device().state, "current", cls.scene.model))
                return slot["current"]["release"] if slot["current"]["package"] == "sha256:" + os.path.basename(link) else None
        return None

    @classmethod
    def log(cls):
        with open(cls.device().agent.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def events(self):
        return self.admin.get(f"/devices/{self.device_id()}").json["events"]

    def setUp(self):
        self.addCleanup(self.end_attack)
        self.begin()

    def begin(self):
        """A story begins: what is told from now on belongs to it."""
        self.ran = self.runs()
        self.log_before = len(self.log())
        self.events_before = max((event["seq"] for event in self.events()), default=0)

    def end_attack(self):
        self.hostile.rule, self.hostile.twist = None, self.remember

    # --- what a story says at its end -----------------------------------------------------------------------------------

    def told(self, codes, words=""):
        """The device has reported this code, or one of these, since the story began."""
        codes = (codes,) if isinstance(codes, str) else codes

        def found():
            self.poke()
            return [event for event in self.events() if event["seq"] > self.events_before and event["code"] in codes
                    and words in event["detail"]]
        return wait_until(f"the device reports {codes} {words}", PATIENCE, found, 0.3)

    def logged(self, *words, any_of=("",)):
        """One line of the device's log since the story began holds all of these words, and one of those."""
        return wait_until(f"the device's log says {words} {any_of}", PATIENCE, lambda: self.poke() and [
            line for line in self.log()[self.log_before:].splitlines()
            if all(word in line for word in words) and any(word in line for word in any_of)], 0.3)

    def unharmed(self):
        self.device().agent.check()
        self.assertEqual(self.runs(), self.ran)
        installed = {event["release"] for event in self.events() if event["seq"] > self.events_before and
                     event["release"] != self.ran and event["step"] in ("activate", "confirm", "commit")}
        self.assertEqual(installed, set(), "nothing was ever active in between")

    def recovers(self):
        """The attack ends, and the next release arrives."""
        self.end_attack()
        type(self).fresh += 1
        self.deliver(f"fresh-{self.fresh}", *self.newest())
        self.begin()

    def newest(self):
        return ()

    # --- what the attacker does -----------------------------------------------------------------------------------------

    def target(self, version, model=None, kind=KIND):
        """(path, target) as a director assigns a release."""
        model = model or self.scene.model
        release = self.admin.get(f"/models/{model}/releases/{version}").json
        variant = next((one for one in release["variants"] if one["kind"] == kind), release["variants"][0])
        length = int(self.admin.request("HEAD", f"/blobs/{release['index']}").headers["Content-Length"])
        return f"{model}/{version}", {
            "length": length, "hashes": {"sha256": release["index"].removeprefix("sha256:")},
            "custom": {"kind": kind, "variant": variant["manifest"], "release_counter": release["release_counter"],
                       "deployment": f"forged-{version}"}}

    def assign(self, *targets, **changes):
        """From now on every check-in is answered by a new assignment of these targets, which the stolen key signs."""
        device_id, template = self.device_id(), copy.deepcopy(self.assignments[-1])

        def twist(request, reply):
            if not request.is_checkin() or reply.status != 200:
                return None
            asked = request.json
            version = changes.get("version", asked.get("assignment_version", 0) + 1)
            document = self.thief.assignment(template, changes.get("device_id", device_id),
                                             changes.get("nonce", asked.get("nonce", "")), version, dict(targets))
            return Reply(200, {**reply.json, "assignment": document})

        self.hostile.twist = twist
        self.poke()

    @classmethod
    def metadata(cls):
        """The real server's current files, by name."""
        def get(name):
            return cls.admin.get(f"/metadata/{name}").body
        files = {"timestamp.json": get("timestamp.json")}
        number = json.loads(files["timestamp.json"])["signed"]["meta"]["snapshot.json"]["version"]
        files[f"{number}.snapshot.json"] = get(f"{number}.snapshot.json")
        for name, entry in json.loads(files[f"{number}.snapshot.json"])["signed"]["meta"].items():
            files[f"{entry['version']}.{name}"] = get(f"{entry['version']}.{name}")
        return files

    @staticmethod
    def numbers(files):
        """The versions of timestamp and snapshot."""
        signed = json.loads(files["timestamp.json"])["signed"]
        return signed["version"], signed["meta"]["snapshot.json"]["version"]

    def serve(self, files):
        """These metadata files and no others, but for the roots."""
        def rule(request):
            name = request.path.removeprefix("/api/v1/metadata/")
            if name == request.path or re.fullmatch(r"\d+\.root\.json", name):
                return None
            if name in files:
                return Reply(200, files[name])
            return NOT_FOUND
        self.hostile.rule = rule

    def outrun(self, forged):
        """The managers publish until the numbers are beyond those that the attacker has used."""
        while any(real <= used for real, used in zip(self.numbers(self.metadata()), self.numbers(forged))):
            self.renew()

    def renew(self):
        """The managers sign the model's metadata anew: another timestamp and another snapshot, too."""
        self.scene.tool.run("trust", "renew", self.scene.model, *self.signers())

    def signers(self):
        return "--key", self.scene.key("alice")


__all__ = ["BIN", "Hostile", "KIND", "Key", "NOT_FOUND", "PATIENCE", "Reply", "Story", "Thief", "canonical", "unittest", "wait_until"]
