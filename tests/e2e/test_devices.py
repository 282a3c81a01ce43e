"""Releases that misbehave on a real device: each is refused with its own reason, and the device keeps what it has."""

import concurrent.futures
import os
import subprocess

from scene import SceneTest, policy, unittest, wait_until


class Devices(SceneTest):
    @classmethod
    def prepare(cls, scene):
        scene.open()
        cls.device = scene.join("dut")
        scene.publish("0")
        rollout = scene.roll_out("0")
        wait_until("the first release completes", 40, lambda: scene.rollout(rollout)["state"] == "completed", 0.2)

    def outcome(self, version, seconds=60):
        """Rolls the release out; the device's attempt once it has ended."""
        rollout = self.scene.roll_out(version, "100%,failures=100%")

        def ended():
            row = self.scene.deployments(rollout).get("dut")
            return row if row and row["state"] not in ("in_flight", "none", "offered") else None

        return wait_until(f"{version} has ended on the device", seconds, ended, 0.2)

    def refused(self, wish, code, **changes):
        package = self.scene.make_package(wish, wish=wish, **changes)
        out = self.scene.build(wish, package)
        self.scene.tool.run("release", "sign", out, "--key", self.scene.key("alice"))
        self.scene.tool.run("release", "push", out)
        row = self.outcome(wish)
        self.assertEqual((row["state"], row["code"]), ("failed", code), row)
        self.assertTrue(row["detail"])
        self.assertEqual(self.scene.installed("dut"), "0")

    @staticmethod
    def validation(**changes):
        return {"validation": {**policy()["validation"], **changes}}

    def test_a_model_that_fails_its_golden_set_is_refused(self):
        self.refused("fail", "validate_golden")

    def test_a_model_that_crashes_the_validator_is_refused(self):
        self.refused("crash", "validate_crash")

    def test_a_model_that_hangs_is_ended_and_refused(self):
        self.refused("hang", "validate_timeout", **self.validation(timeout_seconds=2))

    def test_a_model_that_eats_memory_is_ended_and_refused(self):
        self.refused("hog", "validate_memory", **self.validation(memory={"budget_bytes": 16 << 20}))

    def test_of_two_people_who_promote_at_once_one_is_told_that_the_other_was_faster(self):
        self.scene.publish("promoted")
        rollout = self.scene.roll_out("promoted", "1", "100%")
        wait_until("it waits for promotion", 60,
                   lambda: self.scene.rollout(rollout)["state"] == "awaiting_promotion", 0.2)
        people = [self.scene.http(self.scene.token("release_manager")) for _ in range(2)]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda one: one.post(f"/rollouts/{rollout}/promote", {"from_stage": 0}), people))
        self.assertEqual(sorted(answer.status for answer in answers), [200, 409], answers)
        self.assertEqual({answer.code for answer in answers if answer.status == 409}, {"conflict"})
        self.scene.tool.run("rollout", "rollback", rollout, "--yes")
        wait_until("the device is back", 40, lambda: self.scene.installed("dut") == "0", 0.2)


@unittest.skipUnless(os.geteuid() == 0, "needs the right to mount a small disk")
class Disk(SceneTest):
    DISK = 24 << 20

    def test_a_disk_that_fills_in_the_middle_of_a_download_costs_nothing_but_time(self):
        scene = self.scene
        state = scene.path("devices", "tight", "state")
        os.makedirs(state)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.DISK}", "tmpfs", state], capture_output=True)
        if done.returncode:
            self.skipTest("cannot mount: " + done.stderr.decode())
        self.addCleanup(subprocess.run, ["umount", "-l", state], capture_output=True)
        device = scene.join("tight", 1_500_000)
        for version, size in (("1", 1000), ("2", 6_000_000)):
            scene.publish(version, size=size)
        scene.roll_out("1")
        wait_until("1 arrives", 40, lambda: scene.installed("tight") == "1", 0.2)
        rollout = scene.roll_out("2", "100%,failures=100%")
        wait_until("bytes come", 30, lambda: scene.bytes_in_download(device) > 100_000, 0.05)
        filler = os.path.join(state, "filler")
        with open(filler, "wb") as file:
            try:
                while True:
                    file.write(b"x" * (1 << 16))
                    file.flush()
            except OSError:
                pass  # full
        wait_until("the download stands still", 30, lambda: self.stands_still(device), 2)
        self.assertEqual(scene.installed("tight"), "1")
        self.assertTrue(os.path.isdir(os.path.realpath(os.path.join(state, "current", scene.model))))
        device.agent.check()
        os.unlink(filler)
        row = wait_until("the deployment ends once there is room", 90, lambda: self.ended(rollout), 0.2)
        if row["state"] == "succeeded":
            self.assertEqual(scene.installed("tight"), "2")
        else:
            self.assertIn("disk", row["code"] + row["detail"], row)
            self.assertEqual(scene.installed("tight"), "1")

    def stands_still(self, device):
        before, self.held = getattr(self, "held", None), self.scene.bytes_in_download(device)
        return before == self.held

    def ended(self, rollout):
        row = self.scene.deployments(rollout).get("tight", {})
        return row if row.get("state") in ("succeeded", "failed", "rolled_back") else None


if __name__ == "__main__":
    unittest.main(verbosity=2)
