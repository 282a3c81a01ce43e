"""The journeys of a device and of a rollout, against the real server."""

import concurrent.futures
import signal
import unittest

from live import KIND, MODEL, Device, LiveCase


class Enrolment(LiveCase):
    def test_an_enrolment_token_makes_a_device_active_and_gives_its_tags(self):
        device = Device(self.server, "by-token", enrolment=self.enrolment(tags=["lab"]), os="2.10.1")
        answer = self.expect(device.session(), 200)
        self.assertEqual(answer.json["device_id"], device.id)
        row = self.expect(self.admin.get(f"/devices/{device.id}"), 200).json
        self.assertEqual((row["state"], row["tags"], row["attributes"]), ("active", ["lab"], {"os": "2.10.1"}))

    def test_a_token_is_used_up_and_a_wrong_one_refused(self):
        token = self.enrolment(uses=1)
        self.expect(Device(self.server, "first", enrolment=token).session(), 200)
        self.expect(Device(self.server, "second", enrolment=token).session(), 403, "permission_denied")
        self.expect(Device(self.server, "third", enrolment="dre_wrong").session(), 403, "permission_denied")

    def test_a_preauthorised_key_needs_no_token(self):
        device = Device(self.server, "preauthorised")
        body = {"public_key": device.public_key, "name": "kiosk-7", "kind": KIND}
        self.expect(self.admin.post("/devices", body), 201)
        self.expect(self.admin.post("/devices", body), 409, "already_exists")
        self.expect(device.session(), 200)
        self.assertEqual(self.admin.get(f"/devices/{device.id}").json["name"], "kiosk-7")

    def test_without_either_a_device_waits_for_an_operator(self):
        device = Device(self.server, "waiting")
        self.expect(device.session(), 403, "pending")
        self.assertIn(device.id, [row["id"] for row in self.admin.get("/devices?state=pending").json["items"]])
        self.expect(self.server.person("operator").post(f"/devices/{device.id}/accept"), 200)
        self.expect(device.session(), 200)

    def test_a_signature_of_another_key_and_an_old_challenge_are_refused(self):
        device, other = Device(self.server, "mine"), Device(self.server, "other")
        device.sign = other.sign
        self.expect(device.session(), 422, "bad_signature")
        body = {"public_key": other.public_key, "challenge": "v4.local.AAAA", "kind": KIND,
                "signature": other.sign("drover-session-v1\nv4.local.AAAA")}
        self.expect(self.server.client().post("/device/session", body), 401, "unauthenticated")

    def test_a_decommissioned_device_is_refused_everywhere(self):
        device = self.enrolled("old")
        self.expect(device.checkin(), 200)
        self.expect(self.admin.ask("DELETE", f"/devices/{device.id}"), 204)
        self.expect(device.checkin(), 410, "gone")
        self.expect(device.client.get("/blobs/sha256:" + "0" * 64), 410, "gone")
        self.expect(device.session(), 410, "gone")

    def test_changed_attributes_are_asked_for_and_stored(self):
        device = self.enrolled("changing", os="1")
        self.expect(device.checkin(), 200)
        device.attributes["os"] = "2"
        self.assertTrue(device.checkin().json.get("want_identity"))
        identity = {"name": device.name, "kind": device.kind, "attributes": device.attributes}
        self.assertFalse(device.checkin(identity=identity).json.get("want_identity"))
        self.assertEqual(self.admin.get(f"/devices/{device.id}").json["attributes"], {"os": "2"})


class Idle(LiveCase):
    settings = {"poll_seconds": 3600}

    def test_an_idle_checkin_does_not_touch_the_database(self):
        device = self.enrolled("idle")
        device.checkin()
        before, idle = self.server.metric("drover_sql_statements_total"), self.server.metric("drover_checkins_total")
        for _ in range(300):
            answer = device.client.post("/device/checkin", device.body(nonce="ab" * 16))
            self.assertEqual(answer.json, {"poll_seconds": 3600})
        self.assertEqual(self.server.metric("drover_checkins_total") - idle, 300)
        # The writing of last_seen goes on beside it, every few seconds.
        self.assertLess(self.server.metric("drover_sql_statements_total") - before, 60)

    def test_a_new_revision_and_a_new_tag_make_it_look_again(self):
        device = self.enrolled("looks")
        device.checkin()
        self.expect(self.admin.ask("PATCH", f"/devices/{device.id}", {"tags": {"add": ["x"]}}), 200)
        self.assertIn("token", device.checkin().json)


class Rollouts(LiveCase):
    settings = {"delta_wait_seconds": 0}  # else the first offers wait for deltas that nobody here will take

    @classmethod
    def prepare(cls):
        cls.server.trust()
        for version in ("1", "2", "3"):
            cls.server.publish(version)

    def fleet(self, tag, count):
        """Devices and a group of their own, so that tests do not meet."""
        devices = []
        for n in range(count):
            device = Device(self.server, f"{tag}-{n}", enrolment=self.enrolment(tags=[tag]))
            self.expect(device.session(), 200)
            devices.append(device)
        self.expect(self.admin.post("/groups", {"name": tag, "query": f"tag:{tag}"}), 201)
        return devices

    def test_a_release_reaches_the_canary_then_everybody(self):
        devices = self.fleet("staged", 8)
        stages = [{"percent": 25}, {"percent": 100}]
        rollout = self.expect(self.server.roll_out("1", "staged", stages), 201).json
        self.assertEqual(rollout["stages"][0]["members"], 2)
        for device in devices:
            device.checkin()
        canary = [device for device in devices if device.target()]
        self.assertEqual(len(canary), 2)
        for device in canary:
            path, custom = device.target()
            self.assertEqual((path, custom["kind"], custom["rollback"]), (f"{MODEL}/1", KIND, False))
            self.expect(device.carry_out(), 200)
        self.wait_for("the gate", lambda: self.server.rollout(rollout["id"])["state"] == "awaiting_promotion")
        self.expect(self.admin.post(f"/rollouts/{rollout['id']}/promote", {"from_stage": 0}), 200)
        for device in devices:
            device.checkin()
            if device not in canary:
                self.expect(device.carry_out(), 200)
        status = self.server.rollout(rollout["id"])
        self.assertEqual([stage["succeeded"] for stage in status["stages"]], [2, 6], status)
        rows = self.admin.get(f"/rollouts/{rollout['id']}/deployments").json["items"]
        self.assertEqual({row["device"] for row in rows}, {device.id for device in devices})

    def test_a_report_that_comes_twice_counts_once(self):
        device, = self.fleet("twice", 1)
        rollout = self.server.roll_out("1", "twice").json["id"]
        device.checkin()
        path, custom = device.target()
        report = device.signed_report([device.event("succeeded", custom["deployment"], "1")])
        token = device.client.token
        for _ in range(3):
            device.client.token = token
            self.assertEqual(self.expect(device.checkin(report=report), 200).json["acked_seq"], 1)
        stage = self.server.rollout(rollout)["stages"][0]
        self.assertEqual((stage["offered"], stage["succeeded"], stage["in_flight"]), (1, 1, 0))

    def test_a_report_behind_a_gap_is_taken_since_devices_drop_what_is_not_final(self):
        device, = self.fleet("forgetful", 1)
        device.checkin()
        gap = device.event("progress", "dep-1", "1")
        gap["seq"] = 5
        self.assertEqual(self.expect(device.report(gap), 200).json["acked_seq"], 5)

    def test_a_foreign_signature_and_a_foreign_name_are_refused(self):
        device, other = self.fleet("liars", 2)
        device.checkin()
        first = device.event("progress", "dep-1", "1")
        self.expect(device.checkin(report=other.signed_report([first])), 422, "bad_signature")
        stolen = other.signed_report([first])
        stolen["signature"] = device.sign("drover-report-v1\n" + stolen["payload"])
        self.expect(device.checkin(report=stolen), 422, "wrong_device")
        self.assertEqual(self.expect(device.report(first), 200).json["acked_seq"], 1)

    def test_halted_means_nothing_is_offered_at_the_next_checkin(self):
        first, second = self.fleet("halted", 2)
        rollout = self.server.roll_out("1", "halted").json["id"]
        first.checkin()
        self.assertIsNotNone(first.target())
        self.expect(self.server.person("operator").post(f"/rollouts/{rollout}/halt"), 200)
        second.checkin()
        self.assertIsNone(second.target())
        first.checkin()
        self.assertIsNone(first.target(), "what is not activated is taken back")
        self.assertEqual(self.server.rollout(rollout)["state"], "halted")

    def test_the_inflight_cap_holds_and_waiting_devices_come_next(self):
        devices = self.fleet("capped", 4)
        rollout = self.server.roll_out("1", "capped", max_in_flight=1).json["id"]
        served = []
        for _ in range(4):
            for device in devices:
                device.checkin()
            under_way = [device for device in devices if device.target() and device not in served]
            self.assertEqual(len(under_way), 1)
            self.assertEqual(self.server.rollout(rollout)["stages"][0]["in_flight"], 1)
            under_way[0].carry_out()
            served += under_way
        self.assertEqual(self.server.rollout(rollout)["state"], "completed")

    def test_failures_halt_the_rollout(self):
        devices = self.fleet("failing", 3)
        rollout = self.server.roll_out("1", "failing").json["id"]
        devices[0].checkin()
        devices[0].carry_out("failed", step="validate", code="validate_golden", detail="argmax differs")
        status = self.server.rollout(rollout)
        self.assertEqual((status["state"], status["stages"][0]["failed"]), ("halted", 1))
        row, = self.admin.get(f"/rollouts/{rollout}/deployments").json["items"]
        self.assertEqual((row["state"], row["code"], row["detail"]), ("failed", "validate_golden", "argmax differs"))
        devices[1].checkin()
        self.assertIsNone(devices[1].target())

    def test_a_rollback_returns_each_device_to_what_it_ran_before(self):
        old, new = self.fleet("back", 2)
        for device, version in ((old, "1"), (new, None)):
            if version:
                self.expect(self.admin.post("/groups", {"name": "only-old", "devices": [device.id]}), 201)
                self.expect(self.server.roll_out(version, "only-old"), 201)
                device.checkin()
                device.carry_out()
        rollout = self.server.roll_out("2", "back").json["id"]
        for device in (old, new):
            device.checkin()
            self.assertEqual(device.target()[0], f"{MODEL}/2")
            device.carry_out()
        self.expect(self.server.person("operator").post(f"/rollouts/{rollout}/rollback"), 200)
        old.checkin()
        path, custom = old.target()
        self.assertEqual((path, custom["rollback"]), (f"{MODEL}/1", True))
        old.carry_out()
        new.checkin()
        status = self.wait_for("the rollback's end", lambda: (s := self.server.rollout(rollout))["state"] == "rolled_back" and s)
        self.assertEqual((status["rollback"]["returned"], status["rollback"]["nothing_before"]), (1, 1))

    def test_of_two_promotions_at_once_one_is_refused(self):
        devices = self.fleet("twopeople", 4)
        rollout = self.server.roll_out("1", "twopeople", [{"percent": 25}, {"percent": 50}, {"percent": 100}]).json["id"]
        for device in devices:
            device.checkin()
            if device.target():
                device.carry_out()
        self.wait_for("the gate", lambda: self.server.rollout(rollout)["state"] == "awaiting_promotion")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(self.admin.post, f"/rollouts/{rollout}/promote", {"from_stage": 0}) for _ in range(4)]
            statuses = sorted(one.result().status for one in asked)
        self.assertEqual(statuses, [200, 409, 409, 409])
        self.assertEqual(self.server.rollout(rollout)["stage"], 1)

    def test_a_rollout_to_an_empty_group_is_refused_and_says_why(self):
        self.expect(self.admin.post("/groups", {"name": "nobody", "query": "tag:nobody"}), 201)
        answer = self.expect(self.server.roll_out("1", "nobody"), 400, "invalid_argument")
        self.assertIn("nobody is empty", answer.json["detail"])
        self.assertEqual(self.server.roll_out("9", "nobody").status, 404)
        self.expect(self.admin.post("/rollouts", {"name": "x", "model": MODEL, "release": "1", "group": "none",
                                                  "stages": [{"percent": 100}]}), 404)

    def test_whoever_waits_for_a_rollout_hears_of_its_change(self):
        self.fleet("watched", 1)
        made = self.server.roll_out("1", "watched")
        rollout, etag = made.json["id"], made.headers["ETag"]
        unchanged = self.admin.get(f"/rollouts/{rollout}", headers={"If-None-Match": etag})
        self.assertIn(unchanged.status, (200, 304))  # a tick may have moved it
        etag = self.admin.get(f"/rollouts/{rollout}").headers["ETag"]
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.admin.get, f"/rollouts/{rollout}?wait=15", headers={"If-None-Match": etag})
            self.expect(self.admin.post(f"/rollouts/{rollout}/pause"), 200)
            self.assertEqual(waiting.result().status, 200)

    def test_a_withdrawn_release_is_offered_to_nobody(self):
        device, = self.fleet("withdrawn", 1)
        rollout = self.server.roll_out("3", "withdrawn").json["id"]
        self.server.tool("release", "withdraw", MODEL, "3", "--key", self.server.key("release"))
        self.assertEqual(self.admin.get(f"/models/{MODEL}/releases/3").json["state"], "withdrawn")
        device.checkin()
        self.assertIsNone(device.target())
        self.wait_for("the halt", lambda: self.server.rollout(rollout)["state"] != "running")


class Kept(LiveCase):
    settings = {"delta_wait_seconds": 0}  # else the first offer waits for a file to be packed

    def test_what_was_answered_is_there_after_a_kill(self):
        self.server.trust()
        self.server.publish("1")
        device = self.enrolled("kept")
        rollout = self.server.roll_out("1").json["id"]
        device.checkin()
        deployment = device.target()[1]["deployment"]
        for n in range(6):
            self.expect(device.report(device.event("progress", deployment, "1", step="fetch", bytes_fetched=n)), 200)
            self.server.restart(signal.SIGKILL)
            device.client.port = self.admin.port = self.server.port
            row, = self.admin.get(f"/rollouts/{rollout}/deployments").json["items"]
            self.assertEqual((row["bytes_fetched"], row["step"]), (n, "fetch"))
        device.carry_out()
        self.assertEqual(self.server.rollout(rollout)["stages"][0]["succeeded"], 1)

    def test_a_stop_is_graceful(self):
        self.assertEqual(self.server.stop(), 0)
        self.server.start()
        self.admin.port = self.server.port
        self.expect(self.admin.get("/readyz"), 200)


if __name__ == "__main__":
    unittest.main(verbosity=2)
