"""Stories of stolen identities: one device's documents given to another, a decommissioned device's token, and a release key
that is not enough by itself."""

import json
import os
import sqlite3

from story import PATIENCE, Key, Reply, Story, unittest, wait_until


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


class SwappedIdentity(Story):
    @classmethod
    def prepare(cls, scene):
        super().prepare(scene)
        scene.join("dut")
        cls.deliver("1")
        scene.join("twin")
        cls.twin = scene.device_rows()["twin"]["id"]

    def test_another_devices_assignment_is_worthless(self):
        self.publish("2")
        self.assign(self.target("2"), device_id=self.twin)
        self.told("wrong_device", self.twin)
        self.unharmed()
        self.recovers()

    def test_another_devices_session_is_not_taken(self):
        dut = self.device()

        def twist(request, reply):
            if request.path == "/api/v1/device/session" and reply.status == 200:
                return Reply(200, {**reply.json, "device_id": self.twin})
            return None
        dut.agent.stop()
        self.forget_sessions()
        self.hostile.twist = twist
        dut.agent.start()
        self.logged("wrong_device", self.twin)
        self.unharmed()
        self.recovers()

    def test_another_devices_report_is_not_counted(self):
        """The attacker answers with the other device's session, so that the device reports in its name."""
        tokens = {}

        def spy(request, reply):
            if request.path == "/api/v1/device/session" and reply.status == 200:
                tokens[reply.json["device_id"]] = reply.json["token"]
            return self.remember(request, reply)
        self.hostile.twist = spy
        for name in ("dut", "twin"):
            self.scene.devices[name].agent.stop()
        self.forget_sessions()
        for name in ("dut", "twin"):
            self.scene.devices[name].agent.start()
        wait_until("both have sessions", PATIENCE, lambda: len(tokens) == 2, 0.1)
        reports = []

        def rule(request):
            if request.is_checkin() and request.json.get("report") and "dut" in self.device_of(request):
                request.headers.replace_header("Authorization", "Bearer " + tokens[self.twin])
                answer = self.hostile.real(request)
                reports.append(answer)
                return Reply(503, b"")
            return None
        self.hostile.rule = rule
        self.publish("reported")
        self.scene.roll_out("reported")
        wait_until("a report comes", PATIENCE, lambda: self.poke() and reports, 0.2)
        self.assertEqual((reports[0].status, reports[0].json["code"]), (422, "bad_signature"))
        self.hostile.rest()
        wait_until("it is reported by the right one", PATIENCE,
                   lambda: self.poke() and self.scene.installed("dut") == "reported", 0.3)

    def forget_sessions(self):
        """As if they had expired. Of a device that runs it does not matter: it keeps its own in memory."""
        for device in self.scene.devices.values():
            with sqlite3.connect(os.path.join(device.state, "agent.db")) as database:
                database.execute("DELETE FROM value WHERE name = 'session_token'")
            database.close()

    def device_of(self, request):
        payload = json.loads(request.json["report"]["payload"])
        return "dut" if payload["device_id"] == self.device_id() else "twin"

    def test_a_token_that_was_stolen_is_worth_nothing_after_decommissioning(self):
        stolen = {}

        def spy(request, reply):
            if request.path == "/api/v1/device/session" and reply.status == 200 and request.json["name"] == "victim":
                stolen["token"] = reply.json["token"]
            if request.is_checkin() and request.headers["Authorization"] == "Bearer " + stolen.get("token", ""):
                stolen["body"] = request.body
        self.hostile.twist = spy
        victim_device = self.scene.join("victim")
        wait_until("its token went by", PATIENCE, lambda: "body" in stolen, 0.2)
        victim_device.stop()
        self.end_attack()
        victim = self.scene.device_rows()["victim"]["id"]
        release = self.admin.get(f"/models/{self.scene.model}/releases/1").json
        client = self.scene.http(stolen["token"])
        self.assertEqual(client.get(f"/blobs/{release['index']}").status, 200)
        self.scene.tool.run("device", "decommission", victim, "--yes")
        self.assertEqual(client.get(f"/blobs/{release['index']}").status, 410)
        answer = client.request("POST", "/device/checkin", stolen["body"])
        self.assertEqual((answer.status, answer.code), (410, "gone"))
        log = self.admin.get("/audit?limit=1000").json["items"]
        self.assertIn((victim, "gone"), [(row["actor"], row["outcome"]) for row in log])
        victim_device.agent.start()
        wait_until("the device itself hears it", PATIENCE, lambda: "gone" in read(victim_device.agent.log), 0.3)
        victim_device.agent.stop()
        self.unharmed()
        self.recovers()


class StolenReleaseKey(Story):
    """Two people must sign; the attacker has one of their keys, and then the server as well."""

    @classmethod
    def prepare(cls, scene):
        super().prepare(scene)
        signers = [option for name in ("alice", "bob") for option in ("--release-key", scene.key(name) + ".pub")]
        scene.tool.run("trust", "delegate", scene.model, *signers, "--threshold", 2, "--targets-key", scene.key("targets"))
        scene.join("dut")
        cls.deliver("1")

    @classmethod
    def publish(cls, version, *options, **package):
        out = cls.scene.build(version, cls.scene.make_package(version, **package))
        for name in ("alice", "bob"):
            cls.scene.tool.run("release", "sign", out, "--key", cls.scene.key(name), *options)
        cls.scene.tool.run("release", "push", out)
        return out

    def sign_alone(self, version):
        """A release with one good signature, twice: (folder, the model's metadata)."""
        out = self.scene.build(version, self.scene.make_package(version))
        self.scene.tool.run("release", "sign", out, "--key", self.scene.key("alice"))
        with open(os.path.join(out, "drover", f"{self.scene.model}.json"), "rb") as file:
            return out, file.read()

    def test_the_server_refuses_what_one_of_two_has_signed(self):
        out, document = self.sign_alone("one-of-two")
        answer = self.admin.post(f"/metadata/{self.scene.model}", document)
        self.assertEqual((answer.status, answer.code), (422, "threshold_not_met"), answer)
        log = self.admin.get("/audit?limit=1000").json["items"]
        self.assertIn("threshold_not_met", [row["outcome"] for row in log])
        self.unharmed()
        self.recovers()

    def test_with_the_stolen_server_beside_it_devices_refuse_it(self):
        out, document = self.sign_alone("with-server")
        for signatures, code in ((1, "threshold_not_met"), (2, "bad_signature")):
            with self.subTest(signatures=signatures):
                files = self.metadata()
                current = next(name for name in files if name.endswith(f".{self.scene.model}.json"))
                version = int(current.split(".")[0]) + 1
                forged = json.loads(Key(self.scene.key("alice")).sign({**json.loads(document)["signed"], "version": version}))
                forged["signatures"] *= signatures  # the one that he has, as often as he likes
                published = self.thief.publish(files, {f"{version}.{self.scene.model}.json": json.dumps(forged).encode()})
                self.serve(published)
                self.assign(self.of_folder(out, "with-server", f"forged-{signatures}"))
                self.told(code)
                self.unharmed()
                self.end_attack()
                self.outrun(published)
        self.recovers()

    def signers(self):
        return "--key", self.scene.key("alice"), "--key", self.scene.key("bob")

    def of_folder(self, out, version, deployment):
        with open(os.path.join(out, "index.json"), encoding="utf-8") as file:
            entry = json.load(file)["manifests"][0]
        with open(os.path.join(out, "blobs", *entry["digest"].split(":")), encoding="utf-8") as file:
            variant = json.load(file)["manifests"][0]["digest"]
        return f"{self.scene.model}/{version}", {
            "length": entry["size"], "hashes": {"sha256": entry["digest"].removeprefix("sha256:")},
            "custom": {"kind": "kiosk-x64", "variant": variant, "release_counter": 1, "deployment": deployment}}


if __name__ == "__main__":
    unittest.main(verbosity=2)
