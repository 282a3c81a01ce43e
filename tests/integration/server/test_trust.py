"""What the server takes as a change of trust, what it refuses, how it changes its own keys, and what it warns of."""

import json
import os
import re
import unittest

from live import MODEL, LiveCase


class Trust(LiveCase):
    # Whatever expires within the longest lead time: all that is signed here for less than that.
    settings = {"expiry_warn_days": 365, "expiry_urgent_days": 100}

    @classmethod
    def prepare(cls):
        cls.server.trust()
        cls.server.publish("1")

    def tool(self, *arguments):
        self.server.tool(*arguments)

    def path(self, name):
        return self.server.path(f"{self.id().rsplit('.', 1)[1]}-{name}")

    def file(self, role, version):
        return self.expect(self.server.client().get(f"/metadata/{version}.{role}.json"), 200).body.decode()

    def versions(self):
        return {role["role"]: role["version"] for role in self.admin.get("/trust").json["roles"]}

    def change(self, *arguments, keys=()):
        """A change in a file, signed by these; what POST /metadata takes of it."""
        out = self.path("change.json")
        self.tool("trust", *arguments, "--out", out)
        for key in keys:
            self.tool("trust", "sign", out, "--key", self.server.key(key))
        with open(out, encoding="utf-8") as file:
            files = json.load(file)["files"]
        return {role: json.dumps(document) for role, document in files.items()}

    def test_a_key_whose_signature_counts_does_not_leave_alone(self):
        self.tool("trust", "manager", "add", MODEL, self.server.key("carol") + ".pub", "--key", self.server.key("targets"))
        before = self.versions()
        files = self.change("manager", "remove", MODEL, self.server.key("release") + ".pub", keys=("targets", "carol"))
        self.assertEqual(sorted(files), [MODEL, "targets"])
        alone = self.expect(self.admin.post("/metadata/targets", files["targets"]), 422, "threshold_not_met")
        self.assertIn(f"sign {MODEL} anew", alone.json["detail"])
        self.expect(self.admin.post("/metadata", {"files": {"targets": files["targets"]}}), 422, "threshold_not_met")
        self.assertEqual(self.versions(), before)
        answer = self.expect(self.admin.post("/metadata", {"files": files}), 201)
        self.assertEqual(answer.json["files"], [{"role": "targets", "version": before["targets"] + 1},
                                                {"role": MODEL, "version": before[MODEL] + 1}])
        after = self.versions()
        self.assertEqual(after["snapshot"], before["snapshot"] + 1)
        entry = self.admin.get("/audit?limit=1000").json["items"][-1]
        self.assertEqual((entry["action"], entry["subject"]), ("metadata.publish", f"targets,{MODEL}"))
        # Back, for the other tests.
        self.tool("trust", "manager", "add", MODEL, self.server.key("release") + ".pub", "--key", self.server.key("targets"))

    def test_a_targets_key_whose_signature_counts_does_not_leave_alone(self):
        self.tool("trust", "targets", "add-key", self.server.key("t2") + ".pub", "--key", self.server.key("root"))
        files = self.change("targets", "remove-key", self.server.key("targets") + ".pub", keys=("root", "t2"))
        self.assertEqual(sorted(files), ["root", "targets"])
        self.expect(self.admin.post("/metadata/root", files["root"]), 422, "threshold_not_met")
        self.expect(self.admin.post("/metadata", {"files": files}), 201)
        self.tool("trust", "targets", "add-key", self.server.key("targets") + ".pub", "--key", self.server.key("root"))
        self.tool("trust", "targets", "remove-key", self.server.key("t2") + ".pub", "--key", self.server.key("root"),
                  "--key", self.server.key("targets"))

    def test_one_bad_file_keeps_all_of_them_out(self):
        before = self.versions()
        files = self.change("renew", "targets", keys=("targets",))
        model = json.loads(self.file(MODEL, before[MODEL]))
        for role, text in ((MODEL, json.dumps(model)), ("snapshot", "{}"), ("nobody", json.dumps(model)), ("root", "{")):
            answer = self.admin.post("/metadata", {"files": {**files, role: text}})
            self.assertGreaterEqual(answer.status, 400, answer)
            self.assertLess(answer.status, 500, answer)
            self.assertEqual(self.versions(), before)
        for body in ({}, {"files": {}}, {"files": []}, {"files": {"targets": 1}}, {"files": files, "more": 1}, "{"):
            self.expect(self.admin.post("/metadata", body), 400)

    def test_who_may_publish_a_change(self):
        files = self.change("renew", "targets", keys=("targets",))
        self.expect(self.server.person("operator").post("/metadata", {"files": files}), 403, "permission_denied")
        self.expect(self.server.person("release_manager").post("/metadata", {"files": files}), 403, "permission_denied")
        self.expect(self.server.person("release_manager").post("/trust/keys"), 403, "permission_denied")
        self.expect(self.server.client().post("/trust/keys"), 401)

    def test_a_model_with_releases_is_not_left_without_anybody(self):
        version = self.versions()["targets"]
        document = json.loads(self.file("targets", version))["signed"]
        self.assertTrue([role for role in document["delegations"]["roles"] if role["name"] == MODEL])
        # The tool has no command for it: a file made by hand, signed by the tool.
        out = self.path("change.json")
        self.tool("trust", "renew", "targets", "--out", out)
        with open(out, encoding="utf-8") as file:
            change = json.load(file)
        signed = change["files"]["targets"]["signed"]
        signed["delegations"]["roles"] = [r for r in signed["delegations"]["roles"] if r["name"] != MODEL]
        with open(out, "w", encoding="utf-8") as file:
            json.dump(change, file)
        self.tool("trust", "sign", out, "--key", self.server.key("targets"))
        with open(out, encoding="utf-8") as file:
            text = json.dumps(json.load(file)["files"]["targets"])
        answer = self.expect(self.admin.post("/metadata/targets", text), 409, "conflict")
        self.assertIn("withdraw", answer.json["detail"])

    def test_a_new_online_key_waits_signs_nothing_and_then_signs_all(self):
        def signer(file):
            return json.loads(self.server.client().get(f"/metadata/{file}").body)["signatures"][0]["keyid"]

        def roots_key():
            root = json.loads(self.file("root", self.admin.get("/trust").json["root_version"]))["signed"]
            return root["roles"]["timestamp"]["keyids"]

        before = signer("timestamp.json")
        made = self.expect(self.admin.post("/trust/keys", {"roles": ["timestamp"]}), 201).json["keys"]
        self.assertEqual(self.expect(self.admin.post("/trust/keys", {"roles": ["timestamp"]}), 201).json["keys"], made)
        self.assertEqual(self.admin.get("/trust").json["next_keys"], made)
        self.expect(self.admin.post("/trust/keys", {"roles": ["root"]}), 400)
        self.server.restart()
        self.assertEqual(self.admin.get("/trust").json["next_keys"], made)
        self.tool("trust", "renew", "targets", "--key", self.server.key("targets"))
        self.assertEqual(signer("timestamp.json"), before)
        self.tool("trust", "online", "rotate", "timestamp", "--key", self.server.key("root"))
        self.assertEqual([signer("timestamp.json")], roots_key())
        self.assertNotEqual(signer("timestamp.json"), before)
        self.assertEqual(self.admin.get("/trust").json["next_keys"], {})
        self.server.restart()
        self.tool("trust", "renew", "targets", "--key", self.server.key("targets"))
        self.assertEqual([signer("timestamp.json")], roots_key())
        self.assertEqual(os.listdir(self.server.path("data", "keys")).count("timestamp.next.key"), 0)

    def test_another_director_signs_every_assignment_anew(self):
        device = self.enrolled("directed")
        self.expect(self.server.roll_out("1"), 201)
        self.wait_for("the offer", lambda: self.expect(device.checkin(), 200) and device.target())
        deployment, version = device.target()[1]["deployment"], device.version
        signer = self.director(device)
        self.assertNotIn("assignment", device.checkin().json)
        self.tool("trust", "online", "rotate", "director", "--key", self.server.key("targets"))
        answer = self.expect(device.checkin(), 200)
        self.assertIn("assignment", answer.json, "the old director's document is no use any more")
        self.assertEqual(device.version, version + 1)
        self.assertEqual(device.target()[1]["deployment"], deployment)
        targets = json.loads(self.file("targets", self.versions()["targets"]))["signed"]
        named = next(r["keyids"] for r in targets["delegations"]["roles"] if r["name"] == "director")
        self.assertEqual([json.loads(answer.json["assignment"])["signatures"][0]["keyid"]], named)
        self.assertNotEqual(named, [signer])
        self.assertNotIn("assignment", device.checkin().json)

    def director(self, device):
        targets = json.loads(self.file("targets", self.versions()["targets"]))["signed"]
        return next(r["keyids"] for r in targets["delegations"]["roles"] if r["name"] == "director")[0]

    def test_what_expires_soon_is_told_in_the_api_and_in_metrics(self):
        def warned():
            return {one["role"]: one["severity"] for one in self.admin.get("/trust").json["warnings"]}

        self.tool("trust", "renew", "targets", "--key", self.server.key("targets"), "--expires-days", "500")
        self.assertNotIn("targets", warned())
        self.tool("trust", "renew", "targets", "--key", self.server.key("targets"), "--expires-days", "200")
        self.assertEqual(warned()["targets"], "warning")
        self.tool("trust", "renew", "targets", "--key", self.server.key("targets"), "--expires-days", "99")
        self.assertEqual(warned()["targets"], "urgent")
        self.assertNotIn("timestamp", warned())
        text = self.server.client().get("/metrics").body.decode()
        left = {line.split('"')[1]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                if line.startswith("drover_trust_expiry_seconds{")}
        self.assertLess(abs(left["targets"] - 99 * 86400), 600)
        self.assertEqual(set(left), {"root", "targets", "snapshot", "timestamp", MODEL})
        self.assertGreater(left["timestamp"], 3600)
        self.server.restart()
        self.wait_for("a line in the log", lambda: re.search(r"targets expires in 9[89] days", self.log()))
        self.tool("trust", "renew", "targets", "--key", self.server.key("targets"), "--expires-days", "500")

    def log(self):
        with open(self.server.path("server.log"), encoding="utf-8") as file:
            return file.read()


class Renewal(LiveCase):
    """A timestamp that lives ten minutes is renewed at half of it by the next look, not by a publication."""

    settings = {"timestamp_seconds": 600}

    def test_the_server_looks_after_its_own_roles(self):
        self.server.trust()
        before = json.loads(self.server.client().get("/metadata/timestamp.json").body)["signed"]
        self.assertIsNotNone(before["expires"])
        # More than half of it would have to pass; with a longer life set, what is there is over half at the next start.
        self.server.settings["timestamp_seconds"] = 7 * 86400
        self.server.restart()
        after = self.wait_for("a new timestamp", lambda: self.newer(before["version"]))
        self.assertGreater(after["expires"], before["expires"])

    def newer(self, version):
        signed = json.loads(self.server.client().get("/metadata/timestamp.json").body)["signed"]
        return signed if signed["version"] > version else None


if __name__ == "__main__":
    unittest.main(verbosity=2)
