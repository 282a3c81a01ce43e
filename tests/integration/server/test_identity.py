"""Who a device is, and for how long: sessions, counted reports, decommissioning, coming back."""

import json
import unittest

from live import Device, LiveCase, Server


class CountingDevice(Device):
    """As the agent: each report has a counter of its own, which is part of what is signed."""

    counter = 0

    def counted_report(self, *events, counter=None):
        if counter is None:
            self.counter += 1
            counter = self.counter
        payload = json.loads(self.signed_report(list(events))["payload"])
        payload["counter"] = counter
        text = json.dumps(payload)
        return {"payload": text, "signature": self.sign("drover-report-v1\n" + text)}


class Reports(LiveCase):
    def device(self, name):
        device = CountingDevice(self.server, name, enrolment=self.enrolment())
        self.expect(device.session(), 200)
        device.checkin()
        return device

    def runs(self, device):
        return [one["release"] for one in self.admin.get(f"/devices/{device.id}").json["installed"]]

    def test_an_old_report_told_again_changes_nothing_and_is_noticed(self):
        device = self.device("replayed")
        device.installed = {"noise": "1"}
        old = device.counted_report()
        self.assertNotIn("report_floor", self.expect(device.checkin(report=old), 200).json)
        device.installed = {"noise": "2"}
        self.expect(device.checkin(report=device.counted_report()), 200)
        again = self.expect(device.checkin(report=old), 200).json
        self.assertEqual(again["report_floor"], 2)
        self.assertEqual(self.runs(device), ["2"])
        self.assertEqual(self.admin.get(f"/devices/{device.id}").json["report_conflicts"]["count"], 1)
        self.assertGreaterEqual(self.server.metric("drover_report_conflicts_total"), 1)

    def test_a_report_whose_answer_was_lost_is_no_conflict(self):
        device = self.device("lossy")
        report = device.counted_report(device.event("progress", "dep-1", "1"))
        for _ in range(3):
            answer = self.expect(device.checkin(report=report), 200).json
            self.assertEqual(answer["acked_seq"], 1)
            self.assertNotIn("report_floor", answer)
        self.assertNotIn("report_conflicts", self.admin.get(f"/devices/{device.id}").json)

    def test_a_counter_that_was_used_is_not_used_for_something_else(self):
        device = self.device("twin")
        self.expect(device.checkin(report=device.counted_report(device.event("progress", "dep-1", "1"))), 200)
        other = device.counted_report(device.event("progress", "dep-2", "1"), counter=device.counter)
        answer = self.expect(device.checkin(report=other), 200).json
        self.assertEqual((answer["report_floor"], answer["acked_seq"]), (1, 1))
        self.assertEqual(len(self.admin.get(f"/devices/{device.id}").json["events"]), 1)

    def test_who_has_counted_once_does_not_stop(self):
        device = self.device("stops")
        self.expect(device.checkin(report=device.counted_report()), 200)
        self.assertEqual(self.expect(device.report(), 200).json["report_floor"], 1)

    def test_the_counter_is_kept_over_a_kill(self):
        device = self.device("kept")
        report = device.counted_report()
        self.expect(device.checkin(report=report), 200)
        self.expect(device.checkin(report=device.counted_report()), 200)
        self.server.restart()
        self.assertEqual(self.expect(device.checkin(report=report), 200).json["report_floor"], 2)

    def test_of_two_devices_with_one_key_each_is_told_where_to_go_on_and_both_are_noticed(self):
        first = self.device("disk")
        self.expect(first.checkin(report=first.counted_report()), 200)
        clone = CountingDevice.__new__(CountingDevice)
        clone.__dict__.update(first.__dict__)
        clone.installed = {"noise": "9"}
        self.expect(first.session(), 200)
        self.expect(clone.session(), 200)
        for device in (first, clone, first, clone):
            answer = self.expect(device.checkin(report=device.counted_report(device.event("progress", "dep", "1"))), 200).json
            if "report_floor" in answer:
                device.counter = answer["report_floor"]
                device.seq = max(device.seq, answer["acked_seq"])
                answer = self.expect(device.checkin(report=device.counted_report(device.event("progress", "dep", "1"))), 200).json
            self.assertNotIn("report_floor", answer)
        conflicts = self.admin.get(f"/devices/{first.id}").json["report_conflicts"]
        self.assertGreaterEqual(conflicts["count"], 2)


class Leaving(LiveCase):
    def test_a_decommissioned_device_is_refused_at_its_very_next_checkin(self):
        device = self.enrolled("sold")
        device.checkin()
        self.assertEqual(device.checkin().json, {"poll_seconds": 1}, "it has become idle")
        self.expect(self.admin.ask("DELETE", f"/devices/{device.id}"), 204)
        self.expect(device.checkin(), 410, "gone")

    def test_a_restart_does_not_bring_it_back(self):
        device = self.enrolled("sold-too")
        device.checkin()
        device.checkin()
        self.expect(self.admin.ask("DELETE", f"/devices/{device.id}"), 204)
        self.server.restart()
        self.expect(device.checkin(), 410, "gone")

    def test_it_does_not_come_back_by_itself_whatever_token_it_has(self):
        device = Device(self.server, "persistent", enrolment=self.enrolment())
        self.expect(device.session(), 200)
        self.expect(self.admin.ask("DELETE", f"/devices/{device.id}"), 204)
        device.enrolment = self.enrolment()
        self.expect(device.session(), 410, "gone")
        self.assertEqual(self.admin.get(f"/devices/{device.id}").json["state"], "decommissioned")

    def test_the_reports_of_a_decommissioned_device_are_not_taken(self):
        device = self.enrolled("late")
        device.checkin()
        self.expect(self.admin.ask("DELETE", f"/devices/{device.id}"), 204)
        self.expect(device.report(device.event("progress", "dep-1", "1")), 410, "gone")
        self.assertEqual(self.admin.get(f"/devices/{device.id}").json["events"], [])


class ComingBack(LiveCase):
    """The server was rebuilt from nothing: its devices come back under its rules."""

    def test_a_device_with_an_enrolment_token_joins_again_and_one_without_waits(self):
        with_token, without = self.enrolled("with"), self.enrolled("without")
        for device in (with_token, without):
            device.seq = 40
            device.version = 7
            self.expect(device.checkin(), 200)
        fresh = Server()
        self.addCleanup(fresh.close)
        made = fresh.admin.post("/enrolment-tokens", {"name": "line", "uses": 1})
        for device in (with_token, without):
            device.server = fresh
            token, device.client = device.client.token, fresh.client()
            device.client.token = token
            self.expect(device.checkin(), 401, "unauthenticated")
        with_token.enrolment, without.enrolment = made.json["token"], None
        self.expect(with_token.session(), 200)
        self.expect(without.session(), 403, "pending")
        answer = self.expect(with_token.report(with_token.event("progress", "dep-1", "1")), 200).json
        self.assertEqual(answer["acked_seq"], 41, "its events go on where they were")


if __name__ == "__main__":
    unittest.main()
