"""Who may do what, and that it is written down: every route of proto/openapi.yaml, asked by everybody."""

import hashlib
import json
import os
import re
import sqlite3
import subprocess
import unittest

from live import BIN, KIND, MODEL, Device, LiveCase
from test_openapi import Document, SOURCE

ROLES = ("viewer", "operator", "release_manager", "admin")
# Changes that are nobody's decision: a device's own affairs go through enrolment and reports, a preview changes nothing.
UNAUDITED = {"deviceChallenge", "deviceSession", "deviceCheckin", "deviceContentKey", "previewGroup"}


def may(operation, who):
    """What the document says; `who` is a role, "device" or "nobody"."""
    if operation["security"] == []:
        return True
    for option in operation["security"]:
        if who == "device" and "device" in option:
            return True
        if who in ROLES and "person" in option:
            least, = option["person"]
            if ROLES.index(who) >= ROLES.index(least):
                return True
    return False


def harmless(path, operation):
    """(address, body): names that are nobody's and a body that does not parse, so that who may changes nothing either."""
    names = {"digest": "sha256:" + "0" * 64, "target": "sha256:" + "0" * 64, "base": "sha256:" + "1" * 64}
    address = re.sub(r"\{(\w+)\}", lambda match: names.get(match[1], "nobody"), path)
    return address, "{" if "requestBody" in operation else None


class Roles(LiveCase):
    @classmethod
    def prepare(cls):
        cls.document = Document()
        cls.clients = {role: cls.server.person(role) for role in ROLES}
        cls.clients["nobody"] = cls.server.client()
        token = cls.admin.post("/enrolment-tokens", {"name": "line", "uses": 1}).json["token"]
        device = Device(cls.server, "a-device", enrolment=token)
        assert device.session().status == 200
        cls.clients["device"] = device.client

    def test_every_operation_is_open_to_those_whom_the_document_names_and_to_nobody_else(self):
        asked = 0
        for path, method, operation in self.document.operations():
            address, body = harmless(path, operation)
            for who, client in self.clients.items():
                answer = client.ask(method.upper(), address, body, {"Upload-Offset": "0"})
                asked += 1
                with self.subTest(operation=operation["operationId"], who=who, answer=answer):
                    if may(operation, who):
                        self.assertNotIn(answer.status, (401, 403))
                    else:
                        self.assertEqual(answer.status, 401 if who == "nobody" else 403)
                    self.assertLess(answer.status, 500)
        self.assertGreater(asked, 250)

    def test_the_document_and_the_one_table_say_the_same(self):
        with open(os.path.join(SOURCE, "server", "auth", "access.cpp"), encoding="utf-8") as file:
            table = {(method, re.sub(r"\{\w+\}", "{}", path)): access.rstrip("_")
                     for method, path, access in re.findall(r'\{"([A-Z]+) (/[^"]*)", Access::(\w+)\}', file.read())}
        for path, method, operation in self.document.operations():
            short = re.sub(r"\{\w+\}", "{}", path.removeprefix("/api/v1"))
            options = ["anyone"] if operation["security"] == [] else [
                "device" if "device" in option else option["person"][0] for option in operation["security"]]
            with self.subTest(operation=operation["operationId"]):
                self.assertEqual(table.pop((method.upper(), short)), "_or_".join(options))
                self.assertIn("For: " + " or ".join(options), " ".join(operation["description"].split()))
        self.assertEqual(table, {}, "routes that are not in the document")

    def test_root_and_targets_are_for_admins_and_what_the_server_signs_for_nobody(self):
        document = {"signed": {}, "signatures": []}
        for role in ("root", "targets"):
            self.expect(self.clients["release_manager"].post(f"/metadata/{role}", document), 403, "permission_denied")
            self.assertNotIn(self.clients["admin"].post(f"/metadata/{role}", document).status, (401, 403))
        for role in ("snapshot", "timestamp", "director"):
            answer = self.clients["admin"].post(f"/metadata/{role}", document)
            self.assertIn(answer.status, (400, 403), answer)


class Log(LiveCase):
    """The audit log; each test looks at what came since it began."""

    def setUp(self):
        self.begin = self.rows()[-1]["seq"] if self.rows() else 0

    def rows(self, after=0):
        return self.admin.get(f"/audit?after={after}&limit=1000").json["items"]

    def new(self):
        return self.rows(self.begin)


class Changes(Log):
    settings = {"delta_wait_seconds": 0}

    @classmethod
    def prepare(cls):
        cls.server.trust()
        cls.server.publish("1")
        cls.operations = {operation["operationId"]: (path, method)
                          for path, method, operation in Document().operations() if method not in ("get", "head")}

    def change(self, operation_id, body=None, headers=None, client=None, **names):
        """Calls it, successfully; the entries of the log that it made."""
        path, method = self.operations[operation_id]
        for name, value in names.items():
            path = path.replace("{" + name + "}", value)
        before = self.rows(self.begin)
        answer = (client or self.admin).ask(method.upper(), path, body, headers)
        self.assertLess(answer.status, 300, f"{operation_id}: {answer}")
        # The server may write down beside it what follows from that.
        added = [row for row in self.rows(before[-1]["seq"] if before else self.begin) if row["actor"] == "first admin"]
        if operation_id not in UNAUDITED:
            self.assertEqual([(row["role"], row["outcome"]) for row in added], [("admin", "ok")], f"{operation_id}: {added}")
            self.assertTrue(added[0]["subject"])
        self.changed.add(operation_id)
        return answer.json if answer.body else None

    def test_every_operation_that_changes_something_leaves_an_entry(self):
        self.changed = set(UNAUDITED)
        self.change_fleet()
        self.change_releases()
        self.hand_over_content_key()
        self.change("makeOnlineKeys", {})
        self.change_rollouts()
        token = self.change("createToken", {"name": "t", "role": "viewer"})
        self.change("removeToken", id=token["id"])
        self.assertEqual(set(self.operations) - self.changed, set())

    def change_fleet(self):
        token = self.change("createEnrolmentToken", {"name": "line"})
        waiting, known = Device(self.server, "waiting"), Device(self.server, "known")
        self.expect(waiting.session(), 403, "pending")
        self.change("acceptDevice", id=waiting.id)
        self.change("preauthoriseDevice", {"public_key": known.public_key, "name": "known", "kind": KIND})
        self.change("changeDevice", {"tags": {"add": ["lab"]}}, id=waiting.id)
        self.change("decommissionDevice", id=known.id)
        self.change("removeEnrolmentToken", id=token["id"])
        self.change("createGroup", {"name": "one", "query": "all"})
        self.change("replaceGroup", {"query": "tag:lab"}, name="one")
        self.change("createGroup", {"name": "two", "query": "all"})
        self.change("removeGroup", name="two")

    def change_releases(self):
        data = b"a blob"
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        upload = self.change("beginUpload", {"digest": digest, "size": len(data)})["id"]
        self.change("continueUpload", data, {"Upload-Offset": "0", "Content-Type": "application/octet-stream"}, id=upload)
        version, = {row["version"] for row in self.admin.get("/trust").json["roles"] if row["role"] == MODEL}
        out = self.server.build("2")
        with open(os.path.join(out, "drover", f"{MODEL}.json"), "rb") as file:
            document = file.read()
        self.push_blobs(out)
        self.begin = self.rows()[-1]["seq"]
        published = self.change("publishMetadata", document, file=MODEL)
        self.assertEqual(published["version"], version + 1)
        self.publish_as_one_change("3")

    def publish_as_one_change(self, version):
        out = self.server.build(version)
        self.push_blobs(out)
        with open(os.path.join(out, "drover", f"{MODEL}.json"), encoding="utf-8") as file:
            self.change("publishChange", {"files": {MODEL: file.read()}})

    def push_blobs(self, out):
        folder = os.path.join(out, "blobs", "sha256")
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), "rb") as file:
                data = file.read()
            begun = self.admin.post("/uploads", {"digest": "sha256:" + name, "size": len(data)}).json
            if not begun["complete"]:
                self.expect(self.admin.ask("PATCH", f"/uploads/{begun['id']}", data, {
                    "Upload-Offset": str(begun["offset"]), "Content-Type": "application/octet-stream"}), 200)

    def hand_over_content_key(self):
        """The tool does it with the release."""
        folder, out = self.server.path("packages", "secret"), self.server.path("releases", "secret")
        os.makedirs(folder)
        with open(os.path.join(folder, "model.onnx"), "wb") as file:
            file.write(os.urandom(5000))
        with open(os.path.join(folder, "drover.json"), "w", encoding="utf-8") as file:
            json.dump({"version": 1, "model": {"file": "model.onnx", "runtime": "onnx"}, "confidential": {}}, file)
        self.server.tool("release", "build", MODEL, "secret", "--variant", f"{KIND}={folder}", "--encrypt", "--out", out)
        self.server.tool("release", "sign", out, "--key", self.server.key("release"))
        self.server.tool("release", "push", out)
        self.assertIn(("first admin", "content_key.put"), [(row["actor"], row["action"]) for row in self.new()])
        self.changed.add("putContentKey")

    def change_rollouts(self):
        devices = [Device(self.server, name, enrolment=self.enrolment(tags=["fleet"])) for name in ("first", "second")]
        for device in devices:
            self.expect(device.session(), 200)
        self.expect(self.admin.post("/groups", {"name": "fleet", "query": "tag:fleet"}), 201)
        body = {"name": "r", "model": MODEL, "release": "1", "group": "fleet", "stages": [{"count": 1}, {"percent": 100}]}
        rollout = self.change("createRollout", body)["id"]
        for device in devices:
            device.checkin()
        carrier, = (device for device in devices if device.target())
        self.expect(carrier.carry_out(), 200)
        self.wait_for("the gate", lambda: self.server.rollout(rollout)["state"] == "awaiting_promotion")
        self.change("promoteRollout", {"from_stage": 0}, id=rollout)
        for verb in ("pause", "resume", "halt", "rollback"):
            self.change(verb + "Rollout", id=rollout)
        rollout = self.change("createRollout", {**body, "name": "s"})["id"]
        self.change("abortRollout", id=rollout)


class Refusals(Log):
    settings = {"delta_wait_seconds": 0}

    def test_every_refusal_of_a_person_is_written_down_with_who_what_and_why(self):
        people = {role: self.server.person(role) for role in ("viewer", "operator", "release_manager")}
        self.begin = self.rows()[-1]["seq"]
        expected = []
        for path, method, operation in Document().operations():
            address, body = harmless(path, operation)
            for role, person in people.items():
                if not may(operation, role):
                    self.expect(person.ask(method.upper(), address, body), 403)
                    expected.append((role, method.upper(), address))
        # HEAD is answered by the row of GET, and stands in the log as that.
        found = [(row["role"], row["action"].split()[0], row["subject"]) for row in self.new()]
        self.assertEqual(found, [(role, method.replace("HEAD", "GET"), address) for role, method, address in expected])
        self.assertEqual({row["outcome"] for row in self.new()}, {"permission_denied"})
        for row in self.new():
            self.assertRegex(row["detail"], r"(needs the role|for devices).*127\.0\.0\.1")

    def test_a_publication_that_the_signatures_do_not_carry_is_written_down(self):
        self.server.trust()
        self.server.publish("1")
        version = max(row["version"] for row in self.admin.get("/trust").json["roles"] if row["role"] == MODEL)
        document = json.loads(self.server.client().get(f"/metadata/{version}.{MODEL}.json").body)
        document["signed"]["version"] += 1
        self.begin = self.rows()[-1]["seq"]
        self.expect(self.admin.post(f"/metadata/{MODEL}", document), 422, "threshold_not_met")
        row, = self.new()
        self.assertEqual((row["actor"], row["action"], row["outcome"]),
                         ("first admin", "POST /metadata/{role}", "threshold_not_met"))

    def test_a_foreign_report_and_a_decommissioned_device_are_written_down(self):
        device, other = self.enrolled("one"), self.enrolled("two")
        device.checkin()
        self.begin = self.rows()[-1]["seq"]
        stolen = other.signed_report([device.event("progress", "dep-1", "1")])
        self.expect(device.checkin(report=stolen), 422, "bad_signature")
        self.assertEqual([(row["actor"], row["role"], row["outcome"]) for row in self.new()],
                         [(device.id, "device", "bad_signature")])
        self.expect(self.admin.ask("DELETE", f"/devices/{device.id}"), 204)
        for ask in (device.checkin, device.checkin, device.session, device.session):
            self.expect(ask(), 410, "gone")
        gone = [row for row in self.new() if row["outcome"] == "gone"]
        self.assertEqual([row["actor"] for row in gone], [device.id], "once an hour, since it asks for ever")


class Strangers(Log):
    def test_what_strangers_try_is_written_down_until_it_would_fill_the_disk(self):
        for _ in range(3):
            self.expect(self.server.client().post("/groups", {}), 401)
        self.expect(self.server.client("drv_" + "C" * 43).post("/groups", {}), 401)
        self.assertEqual([(row["actor"], row["role"], row["action"], row["outcome"]) for row in self.new()],
                         [("127.0.0.1", "nobody", "POST /groups", "unauthenticated")] * 4)
        before = self.server.metric("drover_refused_total")
        for _ in range(60):
            self.server.client().post("/groups", {})
        self.assertLess(len(self.new()), 30)
        self.assertEqual(self.server.metric("drover_refused_total") - before, 60)


class Tokens(LiveCase):
    def test_a_token_ends_when_its_time_is_over_and_is_listed_until_it_is_revoked(self):
        made = self.expect(self.admin.post("/tokens", {"name": "short", "role": "admin", "expires_seconds": 1}), 201).json
        person = self.server.client(made["token"])
        self.wait_for("the token ends", lambda: person.get("/whoami").status == 401)
        self.assertIn("expired", person.get("/whoami").json["detail"])
        self.assertIn(made["id"], [row["id"] for row in self.admin.get("/tokens").json["items"]])
        live, = [row["id"] for row in self.admin.get("/tokens").json["items"] if row["role"] == "admin" and row["id"] != made["id"]]
        self.expect(self.admin.ask("DELETE", f"/tokens/{live}"), 409, "conflict")  # an admin who has expired is none
        self.expect(self.admin.ask("DELETE", f"/tokens/{made['id']}"), 204)

    def test_the_tool_lists_tokens_and_ends_one_at_once(self):
        self.server.tool("login", f"http://127.0.0.1:{self.server.port}", "--token-file", self.server.path("admin.token"))
        person = self.server.person("operator")
        self.expect(person.get("/whoami"), 200)
        listed, = [row for row in self.admin.get("/tokens").json["items"] if row["role"] == "operator"]
        self.assertNotIn("token", listed)
        self.server.tool("token", "list")
        self.server.tool("token", "revoke", listed["id"])
        self.expect(person.get("/whoami"), 401, "unauthenticated")

    def test_whoever_is_root_on_the_server_makes_another_admin_when_none_is_left(self):
        self.server.stop()
        file = self.server.path("another.token")
        subprocess.run([os.path.join(BIN, "drover-server"), "admin-token", "--data", self.server.path("data"),
                        "--admin-token-file", file], check=True, timeout=20)
        self.assertEqual(os.stat(file).st_mode & 0o777, 0o600)
        self.server.start()
        self.admin.port = self.server.port
        with open(file, encoding="utf-8") as text:
            another = self.server.client(text.read().strip())
        self.assertEqual(another.get("/whoami").json["role"], "admin")
        last = self.admin.get("/audit?limit=1000").json["items"][-1]
        self.assertEqual((last["role"], last["action"]), ("server", "token.create"))

    def test_no_token_lies_in_the_database(self):
        made = self.admin.post("/tokens", {"name": "secret", "role": "viewer"}).json["token"]
        for name in os.listdir(self.server.path("data")):
            if name.startswith("drover.db"):
                with open(self.server.path("data", name), "rb") as file:
                    self.assertNotIn(made.encode(), file.read(), name)


class Guessing(LiveCase):
    def test_whoever_guesses_tokens_is_slowed_down_and_those_with_a_right_one_are_not(self):
        stranger = self.server.client("drv_" + "B" * 43)
        answers = [stranger.get("/whoami") for _ in range(25)]
        self.assertEqual([answer.status for answer in answers], [401] * 20 + [429] * 5)
        self.assertEqual(answers[-1].headers["Retry-After"], "60")
        self.expect(self.admin.get("/whoami"), 200)


class GuessingEnrolment(LiveCase):
    def test_whoever_guesses_enrolment_tokens_is_slowed_down(self):
        device = Device(self.server, "guesser", enrolment="dre_" + "B" * 43)
        answers = [device.session() for _ in range(22)]
        self.assertEqual(answers[0].status, 403)
        self.assertEqual((answers[-1].status, answers[-1].code), (429, "rate_limited"))
        device.enrolment = self.enrolment()
        self.expect(device.session(), 200)


class Tampering(LiveCase):
    """Whoever holds the database may rewrite the log, but not unnoticed by those who have looked at it before."""

    @classmethod
    def prepare(cls):
        cls.server.tool("login", f"http://127.0.0.1:{cls.server.port}", "--token-file", cls.server.path("admin.token"))
        for n in range(3):
            cls.admin.post("/groups", {"name": f"g{n}", "query": "all"})
        cls.server.tool("audit", "verify")

    def changed(self, change):
        """The tool's verdict once `change` was done to the database of the stopped server; undone afterwards."""
        self.server.stop()
        database = self.server.path("data", "drover.db")
        with sqlite3.connect(database) as db:
            kept = db.execute("SELECT * FROM audit").fetchall()
            change(db)
        db.close()
        self.server.start()
        try:
            self.server.tool("login", f"http://127.0.0.1:{self.server.port}", "--token-file", self.server.path("admin.token"))
            self.server.tool("audit", "verify")
            return "in order"
        except RuntimeError as error:
            return str(error)
        finally:
            self.server.stop()
            with sqlite3.connect(database) as db:
                db.execute("DELETE FROM audit")
                db.executemany(f"INSERT INTO audit VALUES({','.join('?' * 10)})", kept)
            db.close()
            self.server.start()

    def test_an_entry_that_was_changed_is_found(self):
        self.assertIn("broken at entry 2", self.changed(
            lambda db: db.execute("UPDATE audit SET actor = 'somebody else' WHERE seq = 2")))

    def test_an_entry_that_is_missing_is_found(self):
        self.assertIn("broken at entry 2", self.changed(lambda db: db.execute("DELETE FROM audit WHERE seq = 2")))

    def test_an_end_that_was_cut_off_is_found_by_whoever_saw_it(self):
        self.assertIn("seen before", self.changed(lambda db: db.execute(
            "DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)")))

    def test_a_chain_that_was_made_anew_is_found_by_whoever_saw_the_old_one(self):
        self.assertIn("another entry than the one seen", self.changed(rewrite_chain))

    def test_what_nobody_changed_is_in_order(self):
        self.assertEqual(self.changed(lambda db: None), "in order")


def rewrite_chain(db):
    """As an attacker would who knows how entries are hashed."""
    names = ("seq", "at", "actor", "role", "action", "subject", "detail", "outcome", "prev_hash")
    before = None
    for row in db.execute(f"SELECT {','.join(names)} FROM audit ORDER BY seq").fetchall():
        entry = dict(zip(names, row))
        entry["prev_hash"] = before or entry["prev_hash"]
        entry["actor"] = "somebody else"
        before = entry_hash(db, entry)
        db.execute("UPDATE audit SET actor = ?, prev_hash = ?, hash = ? WHERE seq = ?",
                   (entry["actor"], entry["prev_hash"], before, entry["seq"]))


def entry_hash(db, entry):
    at, = db.execute("SELECT strftime('%Y-%m-%dT%H:%M:%SZ', ?, 'unixepoch')", (entry["at"],)).fetchone()
    text = CONTEXT
    for name, value in {**entry, "at": at}.items():
        value = str(value)
        text += f"{name}:{len(value.encode())}:{value}\n"
    return hashlib.sha256(text.encode()).hexdigest()


with open(os.path.join(SOURCE, "proto", "wire", "audit.h"), encoding="utf-8") as header:
    CONTEXT = json.loads(re.search(r"kAuditContext = (\".*?\")", header.read())[1])


if __name__ == "__main__":
    unittest.main(verbosity=2)
