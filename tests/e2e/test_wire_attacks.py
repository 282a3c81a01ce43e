"""Stories of an attacker between devices and server who has the TLS key, or stands in for the server: replays, freezes,
mixtures, answers without an end, answers that hardly come, another host."""

import json
import os
import shutil
import sys

from hostile import endless
from story import Hostile, NOT_FOUND, PATIENCE, Reply, Story, unittest, wait_until

sys.path.insert(0, os.path.join(os.environ["DROVER_SOURCE_DIR"], "tests", "support"))
from authority import Authority  # noqa: E402

# What may come of an answer without an end before the device hangs up: its own bound, and what lies in buffers on the way.
IN_FLIGHT = 8 << 20
FAKETIME = shutil.which("faketime")
DAYS = 3  # a timestamp lives one


class Replays(Story):
    @classmethod
    def prepare(cls, scene):
        super().prepare(scene)
        scene.join("dut")
        cls.deliver("1")
        cls.first_files, cls.first_assignment = cls.metadata(), cls.raw[-1]
        cls.deliver("2")

    raw = []  # assignments as they came

    @classmethod
    def remember(cls, request, reply):
        super().remember(request, reply)
        if request.is_checkin() and reply.status == 200 and reply.json.get("assignment"):
            cls.raw.append(reply.json["assignment"])

    def replay(self, document):
        def twist(request, reply):
            if request.is_checkin() and reply.status == 200:
                return Reply(200, {**reply.json, "assignment": document})
            return None
        self.hostile.twist = twist

    def test_an_old_assignment_is_refused(self):
        self.replay(self.first_assignment)
        self.told("metadata_rollback")
        self.unharmed()
        self.recovers()

    def test_an_assignment_that_does_not_answer_this_question_is_refused(self):
        latest = json.loads(self.raw[-1])["signed"]
        self.assertTrue(latest["nonce"])
        document = self.thief.assignment(latest, self.device_id(), "00" * 16, latest["version"] + 1, latest["targets"])
        self.replay(document)
        self.told("metadata_mismatch", "nonce")
        self.unharmed()
        self.recovers()

    def test_old_metadata_is_refused(self):
        self.serve(self.first_files)
        self.assign(self.target("2"))
        self.told("metadata_rollback")
        self.unharmed()
        self.recovers()

    def test_metadata_of_one_day_does_not_go_with_that_of_another(self):
        # A timestamp of today with the snapshot of the first day.
        today = self.next_day()
        self.serve({**today, name_of("snapshot", today): self.first_files[name_of("snapshot", self.first_files)]})
        self.assign(self.target("2"))
        self.told(MIXED, "snapshot")
        self.end_attack()
        # Timestamp and snapshot of today with the model's metadata of the first day.
        today, model = self.next_day(), self.scene.model
        self.serve({**today, name_of(model, today): self.first_files[name_of(model, self.first_files)]})
        path, target = self.target("2")
        target["custom"]["deployment"] = "forged-mixture"
        self.assign((path, target))
        self.logged("from=sync", f"looking for {path}: {model}", any_of=["code=" + code for code in MIXED])
        self.unharmed()
        self.recovers()

    def next_day(self):
        """Metadata that the device has not seen yet."""
        self.renew()
        return self.metadata()


MIXED = "metadata_mismatch", "size_mismatch", "digest_mismatch"


def name_of(role, files):
    return next(name for name in files if name.endswith(f".{role}.json"))


@unittest.skipUnless(FAKETIME, "needs faketime (./run setup test)")
class Freeze(Story):
    @classmethod
    def prepare(cls, scene):
        super().prepare(scene)
        # A device that believes its clock. One that does not takes the time from the director, who may lie if he was robbed.
        cls.join_with(clock="trusted")
        cls.deliver("1")

    def test_a_server_that_shows_the_same_day_for_ever_is_noticed_and_the_device_goes_on(self):
        self.serve(self.metadata())
        later(self.device().agent, DAYS)
        self.logged("metadata has expired and does not come anew", "metadata_expired")
        self.unharmed()
        self.serves_application()
        # Three days later the server is well again, and signs what it would have signed all the time.
        later(self.scene.server, DAYS)
        self.scene.wait_for_server()
        self.end_attack()
        self.told("metadata_expired", "timestamp")
        self.recovers()

    def serves_application(self):
        """The application beside the agent reads its model as before."""
        folder = os.path.join(self.device().state, "current", self.scene.model)
        self.assertGreater(os.path.getsize(os.path.join(folder, "model.onnx")), 0)
        self.device().app.check()


def later(process, days):
    """The same program again, so many days later. Only its calendar is another one: time that passes, passes as ever."""
    process.stop()
    process._arguments = ["env", "FAKETIME_DONT_FAKE_MONOTONIC=1", FAKETIME, "-f", f"+{days}d", *process._arguments]
    process.start()


class Floods(Story):
    """Answers without an end, and answers that hardly come."""

    @classmethod
    def prepare(cls, scene):
        super().prepare(scene)
        cls.join_with(request_seconds=3, stall_seconds=3)
        cls.deliver("1", size=200_000)

    def flood(self, wanted, reply):
        """Every answer to what is `wanted` is this one."""
        self.hostile.most.clear()
        self.hostile.rule = lambda request: reply() if wanted(request) else None

    def test_a_checkin_answer_without_an_end_is_cut_off(self):
        for name, reply in (("announced", lambda: Reply(200, endless(), length=1 << 50)),
                            ("in chunks", lambda: Reply(200, endless()))):
            with self.subTest(name):
                self.flood(lambda request: request.is_checkin(), reply)
                self.logged("no check-in", "too_large")
                self.cut_off()
                self.recovers()

    def test_metadata_without_an_end_is_cut_off(self):
        for file in ("timestamp.json", "root.json"):
            with self.subTest(file):
                self.flood(lambda request, name=file: request.is_metadata(name), lambda: Reply(200, endless()))
                self.assign(self.target("1"))
                self.logged("the assignment is refused", "too_large")
                self.cut_off()
                self.recovers()

    def test_a_file_without_an_end_is_cut_off_and_fills_no_disk(self):
        self.publish("endless", size=300_000)
        self.flood(lambda request: "/blobs/" in request.path, lambda: Reply(200, endless()))
        self.scene.roll_out("endless", "100%,failures=100%")
        self.told("too_large")
        self.cut_off()
        self.fills_no_disk()
        self.recovers()

    def test_a_model_without_an_end_is_cut_off_and_fills_no_disk(self):
        model = self.blob_of("endless-model", 300_000)
        self.flood(lambda request: model in request.path, lambda: Reply(200, endless()))
        self.scene.roll_out("endless-model", "100%,failures=100%")
        self.logged("from=fetch", "size_mismatch")
        self.cut_off()
        self.fills_no_disk()
        self.recovers()

    def blob_of(self, version, size):
        out = self.publish(version, size=size)
        folder = os.path.join(out, "blobs", "sha256")
        return next(name for name in os.listdir(folder) if os.path.getsize(os.path.join(folder, name)) == size)

    def test_a_delta_without_an_end_costs_no_more_than_the_whole_file(self):
        self.arrives_whole("endless-delta", self.endless_delta)

    def test_a_plan_of_deltas_without_an_end_costs_no_more_than_the_whole_file(self):
        self.arrives_whole("endless-plan", lambda request: Reply(200, endless()))

    @staticmethod
    def endless_delta(request):
        if "?have=" in request.path:
            return NOT_FOUND  # as an older server, which is asked for the delta itself then
        return Reply(200, b"", [("ETag", '"x"')], 1000) if request.method == "HEAD" else Reply(200, endless(), [("ETag", '"x"')])

    def arrives_whole(self, version, answer):
        model = self.blob_of(version, 200_000)
        self.hostile.most.clear()
        self.hostile.rule = lambda request: answer(request) if "/deltas/" in request.path else None
        self.scene.roll_out(version, "100%,failures=100%")
        wait_until("it arrives as a whole", PATIENCE, lambda: self.poke() and self.runs() == version, 0.3)
        self.assertTrue(any("/deltas/" in path for path in self.hostile.most), "a delta was asked for")
        self.assertGreater(self.hostile.count("/blobs/sha256:" + model), 0)
        self.cut_off()
        self.recovers()

    def test_answers_that_hardly_come_are_given_up(self):
        for name, wanted in (("check-in", lambda request: request.is_checkin()),
                             ("metadata", lambda request: request.is_metadata("timestamp.json"))):
            with self.subTest(name):
                self.flood(wanted, lambda: Reply(200, self.hostile.drip(10_000), length=10_000))
                if name == "metadata":
                    self.assign(self.target("1"))
                self.logged("timeout")
                self.unharmed()
                self.recovers()

    def test_a_download_that_hardly_comes_is_given_up_and_taken_up_again(self):
        model = self.blob_of("dripping", 300_000)
        self.flood(lambda request: model in request.path,
                   lambda: Reply(200, self.hostile.drip(300_000), [("ETag", f'"sha256:{model}"')], 300_000))
        rollout = self.scene.roll_out("dripping", "100%,failures=100%")
        self.logged("from=fetch", "timeout")
        self.unharmed()
        self.end_attack()
        wait_until("it arrives after all", PATIENCE, lambda: self.poke() and self.runs() == "dripping", 0.3)
        self.assertEqual(self.scene.deployments(rollout)["dut"]["state"], "succeeded")

    def cut_off(self):
        self.device().agent.check()
        for path, size in self.hostile.most.items():
            self.assertLess(size, IN_FLIGHT, path)

    def fills_no_disk(self):
        size = sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(self.device().state)
                   for name in names)
        self.assertLess(size, 8 << 20)


class WrongHost(Story):
    """Somebody else answers at the server's address."""

    @classmethod
    def prepare(cls, scene):
        super().prepare(scene)
        scene.join("dut")
        cls.deliver("1")
        cls.authority, cls.strangers = Authority(scene.folder, "ours"), Authority(scene.folder, "strangers")

    def move_to(self, url, ca):
        """Another address for the device: what a poisoned DNS answer or route does to it."""
        device = self.device()
        with open(device.config, encoding="utf-8") as file:
            settings = json.load(file)
        if (settings["server"], settings["ca"]) == (url, ca) and device.agent.running():
            return
        settings.update(server=url, ca=ca)
        device.stop()
        with open(device.config, "w", encoding="utf-8") as file:
            json.dump(settings, file)
        device.start()

    def meets(self, certificate, ca, why):
        impostor = Hostile(self.scene, certificate)
        self.addCleanup(impostor.close)
        self.addCleanup(self.move_to, self.hostile.url, self.scene.certificate)
        self.move_to(impostor.url, ca)
        self.logged("no check-in", "unauthenticated", why)
        self.assertEqual(impostor.seen, [], "not a byte of a request was sent")
        self.unharmed()
        self.move_to(self.hostile.url, self.scene.certificate)
        self.recovers()

    def test_a_certificate_of_another_authority_is_refused(self):
        self.meets(self.strangers.issue("server", ["127.0.0.1"]), self.scene.certificate, "local issuer certificate")

    def test_a_certificate_for_another_name_is_refused(self):
        self.meets(self.authority.issue("elsewhere", ["10.9.8.7"]), self.authority.certificate, "IP address mismatch")

    def test_a_client_certificate_is_no_servers(self):
        self.meets(self.authority.issue("a device"), self.authority.certificate, "purpose")


if __name__ == "__main__":
    unittest.main(verbosity=2)
