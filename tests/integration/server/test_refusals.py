"""Bad input and missing rights: a clear error, nothing lost."""

import hashlib
import json
import os
import unittest

from live import KIND, MODEL, Device, LiveCase


class Rights(LiveCase):
    def test_each_role_may_what_it_may_and_refusals_are_written_down(self):
        viewer, operator = self.server.person("viewer"), self.server.person("operator")
        self.expect(viewer.get("/devices"), 200)
        self.expect(viewer.post("/groups", {"name": "x", "query": "all"}), 403, "permission_denied")
        self.expect(operator.post("/groups", {"name": "x", "query": "all"}), 201)
        self.expect(operator.post("/tokens", {"name": "me", "role": "admin"}), 403, "permission_denied")
        self.expect(operator.post("/uploads", {"digest": "sha256:" + "0" * 64, "size": 1}), 403, "permission_denied")
        refused = [row for row in self.admin.get("/audit?limit=1000").json["items"] if row["outcome"] == "permission_denied"]
        self.assertGreaterEqual(len(refused), 3)
        self.assertLessEqual({"a viewer", "an operator"}, {row["actor"] for row in refused})

    def test_a_release_manager_does_not_sign_root(self):
        manager = self.server.person("release_manager")
        self.expect(manager.post("/metadata/root", {"signed": {}, "signatures": []}), 403, "permission_denied")
        self.expect(self.admin.post("/metadata/snapshot", {"signed": {}, "signatures": []}), 400)

    def test_no_token_a_wrong_one_and_a_removed_one(self):
        self.expect(self.server.client().get("/devices"), 401, "unauthenticated")
        self.expect(self.server.client("drv_" + "A" * 43).get("/devices"), 401, "unauthenticated")
        made = self.admin.post("/tokens", {"name": "short", "role": "viewer"}).json
        person = self.server.client(made["token"])
        self.expect(person.get("/whoami"), 200)
        self.expect(self.admin.ask("DELETE", f"/tokens/{made['id']}"), 204)
        self.expect(person.get("/whoami"), 401, "unauthenticated")

    def test_a_device_is_no_person_and_a_person_no_device(self):
        device = self.enrolled("device")
        self.expect(device.client.get("/devices"), 403, "permission_denied")
        self.expect(self.admin.post("/device/checkin", device.body()), 403, "permission_denied")

    def test_the_last_admin_is_not_removed(self):
        admins = [row for row in self.admin.get("/tokens").json["items"] if row["role"] == "admin"]
        self.assertEqual(len(admins), 1)
        self.expect(self.admin.ask("DELETE", f"/tokens/{admins[0]['id']}"), 409, "conflict")

    def test_the_audit_log_holds_every_change_in_order(self):
        self.expect(self.admin.post("/groups", {"name": "audited", "query": "all"}), 201)
        rows = self.admin.get("/audit?after=0&limit=1000").json["items"]
        self.assertEqual([row["seq"] for row in rows], list(range(1, len(rows) + 1)))
        self.assertIn(("group.create", "audited"), [(row["action"], row["subject"]) for row in rows])
        for before, after in zip(rows, rows[1:]):
            self.assertEqual(after["prev_hash"], before["hash"])


class Throttled(LiveCase):
    def test_whoever_tries_tokens_is_slowed_down(self):
        stranger = self.server.client("drv_" + "B" * 43)
        statuses = [stranger.get("/whoami").status for _ in range(25)]
        self.assertEqual(statuses[0], 401)
        self.assertEqual(statuses[-1], 429)


class BadInput(LiveCase):
    def test_what_is_no_json_or_has_wrong_types_or_unknown_fields_says_where(self):
        for body, word in [("{", "byte"), ('{"name": 7, "query": "all"}', "/name"), ('{"name": "g", "query": "all", "x": 1}', "/x"),
                           ('{"name": "g", "name": "h", "query": "all"}', "name"), ("[]", "object"), ('{"name": "g"}', "/query"),
                           ('{"name": "g", "query": "all", "devices": []}', "/query"), ("\x00", "NUL"), ("[" * 100, "deep")]:
            answer = self.expect(self.admin.ask("POST", "/groups", body), 400, "malformed")
            self.assertIn(word, answer.json["detail"], body)
        self.expect(self.admin.get("/groups/g"), 404)

    def test_a_query_that_does_not_parse_says_where(self):
        answer = self.expect(self.admin.post("/groups", {"name": "g", "query": "kind = and"}), 400, "invalid_argument")
        self.assertIn("byte 7", answer.json["detail"])
        self.expect(self.admin.get("/devices?query=kind%20%3D"), 400, "invalid_argument")
        self.expect(self.admin.post("/groups/preview", {"query": "(all"}), 400, "invalid_argument")

    def test_a_body_over_the_limit_is_refused_before_it_is_read(self):
        self.expect(self.admin.ask("POST", "/tokens", "x" * 100_000), 413, "too_large")
        device = self.enrolled("talkative")
        self.expect(device.checkin(report={"payload": "x" * 300_000, "signature": "00"}), 413, "too_large")
        self.expect(self.admin.get("/healthz"), 200)

    def test_stages_must_grow_and_typing_errors_are_found(self):
        for stages in [[], [{"percent": 50}, {"percent": 25}], [{"percent": 0}], [{"percent": 10, "count": 3}],
                       [{"percent": 100, "failure_treshold_percent": 5}]]:
            body = {"name": "r", "model": MODEL, "release": "1", "group": "g", "stages": stages}
            self.expect(self.admin.post("/rollouts", body), 400, "malformed")

    def test_cursors_limits_and_addresses_that_are_none(self):
        for path in ("/devices?limit=0", "/devices?limit=1001", "/devices?cursor=x", "/audit?after=-1", "/devices?state=odd"):
            self.expect(self.admin.get(path), 400, "invalid_argument")
        self.expect(self.admin.get("/nothing"), 404, "not_found")
        self.expect(self.admin.ask("PUT", "/devices", {}), 405)
        for file in ("root.json", "0.root.json", "01.root.json", "1.root", "..%2F1.root.json", "timestamp.json"):
            self.expect(self.server.client().get(f"/metadata/{file}"), 404, "not_found")

    def test_changes_between_two_people_are_noticed(self):
        made = self.expect(self.admin.post("/groups", {"name": "shared", "query": "all"}), 201)
        etag = made.headers["ETag"]
        body = {"query": "not all"}
        self.expect(self.admin.ask("PUT", "/groups/shared", body, {"If-Match": etag}), 200)
        self.expect(self.admin.ask("PUT", "/groups/shared", body, {"If-Match": etag}), 412, "precondition_failed")

    def test_a_repetition_with_the_same_key_does_it_once(self):
        header = {"Idempotency-Key": "once"}
        body = {"name": "keyed", "query": "all"}
        first = self.expect(self.admin.post("/groups", body, headers=header), 201)
        again = self.expect(self.admin.post("/groups", body, headers=header), 201)
        self.assertEqual(first.json, again.json)
        self.expect(self.admin.post("/groups", {"name": "other", "query": "all"}, headers=header), 409, "conflict")
        header = {"Idempotency-Key": "secret"}
        self.expect(self.admin.post("/tokens", {"name": "t", "role": "viewer"}, headers=header), 201)
        self.expect(self.admin.post("/tokens", {"name": "t", "role": "viewer"}, headers=header), 409, "conflict")


class Bytes(LiveCase):
    data = os.urandom(300_000)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()

    def begin(self, digest=None, size=None):
        return self.admin.post("/uploads", {"digest": digest or self.digest, "size": size or len(self.data)})

    def send(self, upload, offset, data):
        return self.admin.ask("PATCH", f"/uploads/{upload}", data,
                              {"Upload-Offset": str(offset), "Content-Type": "application/octet-stream"})

    def test_an_upload_goes_on_where_it_stopped_also_after_a_restart(self):
        upload = self.expect(self.begin(), 201).json["id"]
        self.assertEqual(self.expect(self.send(upload, 0, self.data[:100_000]), 200).json["offset"], 100_000)
        self.expect(self.send(upload, 0, self.data), 409, "conflict")
        self.server.restart()
        self.admin.port = self.server.port
        self.assertEqual(self.admin.ask("HEAD", f"/uploads/{upload}").headers["Upload-Offset"], "100000")
        self.assertEqual(self.begin().json, {"id": upload, "offset": 100_000, "size": len(self.data), "complete": False})
        self.assertTrue(self.expect(self.send(upload, 100_000, self.data[100_000:]), 200).json["complete"])
        self.assertTrue(self.expect(self.begin(), 200).json["complete"])
        blob = self.expect(self.admin.get(f"/blobs/{self.digest}"), 200)
        self.assertEqual(blob.body, self.data)
        etag = blob.headers["ETag"]
        self.assertEqual(etag, f'"{self.digest}"')
        part = self.expect(self.admin.get(f"/blobs/{self.digest}", headers={"Range": "bytes=5-9", "If-Range": etag}), 206)
        self.assertEqual((part.body, part.headers["Content-Range"]), (self.data[5:10], "bytes 5-9/300000"))
        self.expect(self.admin.get(f"/blobs/{self.digest}", headers={"Range": "bytes=5-9", "If-Range": '"other"'}), 200)
        self.expect(self.admin.get(f"/blobs/{self.digest}", headers={"Range": "bytes=300000-"}), 416)
        self.expect(self.admin.get(f"/blobs/{self.digest}", headers={"If-None-Match": etag}), 304)
        self.assertEqual(self.admin.ask("HEAD", f"/blobs/{self.digest}").headers["Content-Length"], "300000")
        self.expect(self.server.client().get(f"/blobs/{self.digest}"), 401)

    def test_wrong_bytes_are_dropped_and_told(self):
        wrong = "sha256:" + "1" * 64
        upload = self.expect(self.begin(wrong, 10), 201).json["id"]
        self.expect(self.send(upload, 0, b"0123456789"), 422, "digest_mismatch")
        self.expect(self.admin.get(f"/uploads/{upload}"), 404)
        self.expect(self.admin.get(f"/blobs/{wrong}"), 404)

    def test_more_bytes_than_announced_are_refused(self):
        upload = self.expect(self.begin("sha256:" + "2" * 64, 10), 201).json["id"]
        self.expect(self.send(upload, 0, b"0123456789x"), 422, "size_mismatch")
        self.expect(self.send(upload, 0, b"01234"), 200)

    def test_what_is_no_digest_or_size(self):
        for body in ({"digest": "sha256:xyz", "size": 1}, {"digest": self.digest, "size": -1}, {"digest": self.digest}):
            self.expect(self.admin.post("/uploads", body), 400)


class Metadata(LiveCase):
    @classmethod
    def prepare(cls):
        cls.server.trust()
        cls.server.publish("1")

    def current(self, role):
        version = next(row["version"] for row in self.admin.get("/trust").json["roles"] if row["role"] == role)
        return version, json.loads(self.server.client().get(f"/metadata/{version}.{role}.json").body)

    def test_changed_signed_parts_old_versions_and_unknown_roles_are_refused(self):
        version, document = self.current(MODEL)
        self.expect(self.admin.post(f"/metadata/{MODEL}", document), 409, "metadata_rollback")
        document["signed"]["version"] = version + 1
        self.expect(self.admin.post(f"/metadata/{MODEL}", document), 422, "threshold_not_met")
        self.expect(self.admin.post("/metadata/unknown", document), 404, "not_found")
        self.assertEqual(self.current(MODEL)[0], version)

    def test_a_release_whose_blobs_are_missing_is_not_published(self):
        out = self.server.build("2")
        with open(os.path.join(out, "drover", f"{MODEL}.json"), "rb") as file:
            answer = self.admin.post(f"/metadata/{MODEL}", file.read())
        self.expect(answer, 404, "not_found")
        self.assertIn("was not uploaded", answer.json["detail"])
        self.expect(self.admin.get(f"/models/{MODEL}/releases/2"), 404)

    def test_snapshot_and_timestamp_follow_each_publication(self):
        timestamp = json.loads(self.server.client().get("/metadata/timestamp.json").body)["signed"]
        number = timestamp["meta"]["snapshot.json"]["version"]
        snapshot = self.expect(self.server.client().get(f"/metadata/{number}.snapshot.json"), 200)
        self.assertIn("immutable", snapshot.headers["Cache-Control"])
        meta = json.loads(snapshot.body)["signed"]["meta"]
        self.assertEqual(set(meta), {"targets.json", f"{MODEL}.json"})
        self.assertEqual(meta[f"{MODEL}.json"]["version"], self.current(MODEL)[0])
        self.assertIn("x-issued", timestamp)


if __name__ == "__main__":
    unittest.main(verbosity=2)
