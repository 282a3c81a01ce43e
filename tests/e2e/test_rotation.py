"""Every kind of key is changed while a fleet runs: each time a new release reaches the devices afterwards. One device is away
through all of it, and comes back."""

import glob
import json
import os
import shutil

from scene import Failed, SceneTest, unittest, wait_until

FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)


class RotationScene(SceneTest):
    @classmethod
    def prepare(cls, scene):
        cls.versions = 0
        scene.start_server()
        cls.run_tool("trust", "init", *cls.options("--root-key", "root-a", "root-b", "root-c"),
                     *cls.options("--targets-key", "targets-a", "targets-b"), "--root-threshold", 2,
                     "--targets-threshold", 1)
        cls.run_tool("trust", "delegate", scene.model, *cls.options("--release-key", "alice", "bob"), "--threshold", 1,
                     *cls.options("--targets-key", "targets-a"))
        scene.prepare_enrolment()

    @classmethod
    def options(cls, name, *keys):
        return [part for key in keys for part in (name, cls.scene.key(key))]

    @classmethod
    def run_tool(cls, *arguments, **options):
        return cls.scene.tool.run(*arguments, **options)

    @classmethod
    def pub(cls, key):
        return cls.scene.key(key) + ".pub"

    def change(self, *arguments, keys):
        """First as a dry run, which must change nothing; then for real."""
        before = self.scene.tool.json("trust", "show")
        plan = self.scene.tool.json("trust", *arguments, *self.options("--key", *keys), "--dry-run")
        self.assertTrue(plan["dry_run"])
        self.assertEqual(self.scene.tool.json("trust", "show"), before)
        done = self.scene.tool.json("trust", *arguments, *self.options("--key", *keys))
        self.assertTrue(done["published"], done)
        self.assertEqual([(f["role"], f["to"], f["keys"]) for f in plan["files"]],
                         [(f["role"], f["to"], f["keys"]) for f in done["files"]])
        return done

    def publish(self, *signers):
        type(self).versions += 1
        version = str(self.versions)
        out = self.scene.build(version, self.scene.make_package(version))
        for signer in signers:
            self.run_tool("release", "sign", out, "--key", self.scene.key(signer))
        self.run_tool("release", "push", out)
        return version

    def arrives(self, version, *devices):
        self.scene.roll_out(version)
        for device in devices:
            wait_until(f"{version} arrives at {device}", 60, lambda: self.scene.installed(device) == version, 0.2)

    def follows(self, *signers):
        self.arrives(self.publish(*signers), "here")

    def device_root(self, device):
        with open(os.path.join(device.state, "metadata", "root.json"), encoding="utf-8") as file:
            return json.load(file)["signed"]["version"]

    def keyids(self, role):
        return next(r["keyids"] for r in self.scene.tool.json("trust", "show")["roles"] if r["role"] == role)

    def keyid(self, name):
        return self.scene.tool.json("keys", "show", self.scene.key(name))["keyid"]


class Rotation(RotationScene):
    @classmethod
    def prepare(cls, scene):
        super().prepare(scene)
        cls.here, cls.away = scene.join("here"), scene.join("away")

    def test_the_fleet_follows_every_rotation_and_so_does_a_device_that_was_away(self):
        self.arrives(self.publish("alice"), "here", "away")
        self.away.stop()
        for step in (self.root_keys, self.targets_keys, self.removed_manager, self.threshold, self.online_keys,
                     self.one_key_everywhere, self.several_people):
            with self.subTest(step=step.__name__):
                step()
        roots = len(self.keyids("root"))
        self.assertGreater(roots, 1)
        last = self.scene.tool.json("trust", "show")["root_version"]
        self.assertGreater(last, 5)
        self.away.start()
        version = str(self.versions)
        wait_until("the device that was away has the newest release", 60,
                   lambda: self.scene.installed("away") == version, 0.2)
        self.assertEqual(self.device_root(self.away), last)
        self.assertEqual(self.device_root(self.here), last)

    def root_keys(self):
        self.change("root", "add-key", self.pub("root-d"), keys=("root-a", "root-b"))
        self.change("root", "remove-key", self.keyid("root-a")[:12], keys=("root-b", "root-c"))
        self.assertNotIn(self.keyid("root-a"), self.keyids("root"))
        with self.assertRaisesRegex(Failed, "may sign nothing"):
            self.run_tool("trust", "renew", "root", *self.options("--key", "root-a"))
        self.follows("alice")

    def targets_keys(self):
        """What the removed key has signed is signed anew in the same change, or nothing is published."""
        self.change("targets", "add-key", self.pub("targets-c"), keys=("root-b", "root-c"))
        remove = ("trust", "targets", "remove-key", self.pub("targets-a"))
        with self.assertRaisesRegex(Failed, "targets: 0 of 1"):
            self.run_tool(*remove, *self.options("--key", "root-b", "root-c"))
        done = self.change(*remove[1:], keys=("root-b", "root-c", "targets-b"))
        self.assertEqual([f["role"] for f in done["files"]], ["root", "targets"])
        self.follows("alice")

    def removed_manager(self):
        stick = self.scene.path("stick")
        self.run_tool("trust", "fetch", stick, "--all")
        version = str(self.versions + 1)
        out = self.scene.build(version, self.scene.make_package(version))
        self.run_tool("release", "sign", out, *self.options("--key", "alice"), "--base",
                      os.path.join(stick, self.scene.model + ".json"), "--targets", os.path.join(stick, "targets.json"))
        kept = os.path.join(out, "drover", self.scene.model + ".json")
        shutil.copy(kept, self.scene.path("alice.json"))
        done = self.change("manager", "remove", self.scene.model, self.pub("alice"), keys=("targets-b", "bob"))
        self.assertEqual([f["role"] for f in done["files"]], ["targets", self.scene.model])
        shutil.rmtree(out)
        shutil.rmtree(self.scene.path("packages", version))
        self.follows("bob")
        # What she signed while she might comes too late; what she signs now does not count.
        with open(self.scene.path("alice.json"), encoding="utf-8") as file:
            document = json.load(file)
        answer = self.scene.http().post(f"/metadata/{self.scene.model}", document)
        self.assertEqual((answer.status, answer.code), (422, "threshold_not_met"), answer)
        with self.assertRaisesRegex(Failed, "may sign nothing"):
            self.run_tool("trust", "renew", self.scene.model, *self.options("--key", "alice"))

    def threshold(self):
        self.change("manager", "add", self.scene.model, self.pub("carol"), self.pub("dora"), "--threshold", "2",
                    keys=("targets-b", "bob", "carol"))
        self.follows("bob", "dora")
        self.change("targets", "threshold", "2", keys=("root-b", "root-c", "targets-b", "targets-c"))
        self.change("root", "threshold", "3", keys=("root-b", "root-c", "root-d"))
        self.change("root", "threshold", "2", keys=("root-b", "root-c", "root-d"))
        self.follows("bob", "carol")

    def restart(self):
        self.scene.server.kill()
        self.scene.server.start()
        self.scene.wait_for_server()

    def online_keys(self):
        """Killed after the new keys are made, and again when they are signed in: it comes up with the right ones."""
        file = self.scene.path("online.json")
        before = self.scene.tool.json("trust", "doctor", "--keys", self.scene.path("keys"), allowed=(0, 11))["online"]
        self.run_tool("trust", "online", "rotate", "--out", file)
        self.restart()
        self.follows("bob", "carol")
        for key in ("root-b", "root-c", "targets-b", "targets-c"):
            self.run_tool("trust", "sign", file, "--key", self.scene.key(key))
        self.run_tool("trust", "publish", file)
        self.scene.server.kill()
        self.scene.server.start()
        self.scene.wait_for_server()
        after = self.scene.tool.json("trust", "doctor", "--keys", self.scene.path("keys"), allowed=(0, 11))["online"]
        self.assertEqual([one["role"] for one in after], ["snapshot", "timestamp", "director"])
        for old, new in zip(before, after):
            self.assertNotEqual(old["keyid"], new["keyid"])
            self.assertFalse(new["next_waits"])
        self.assertFalse([name for name in os.listdir(os.path.join(self.scene.data, "keys")) if "next" in name])
        self.follows("bob", "carol")

    def one_key_everywhere(self):
        """`keys rotate` finds every role; the key of a targets signer who is also a manager."""
        self.change("manager", "add", self.scene.model, self.pub("targets-c"), keys=("targets-b", "targets-c"))
        done = self.scene.tool.json("keys", "rotate", self.scene.key("targets-c"), self.pub("targets-d"),
                                    *self.options("--key", "root-b", "root-c", "targets-b", "targets-d"))
        self.assertEqual({(k["role"], k["added"]) for f in done["files"] for k in f["keys"]},
                         {("targets", True), ("targets", False), (self.scene.model, True), (self.scene.model, False)})
        self.assertEqual(self.scene.tool.json("trust", "show")["root_version"], done["files"][0]["to"])
        self.follows("targets-d", "carol")

    def several_people(self):
        """Two copies signed apart, without network and without a profile, merged, and published."""
        file, copy = self.scene.path("several.json"), self.scene.path("copy.json")
        self.run_tool("trust", "root", "add-key", self.pub("root-e"), "--out", file)
        shutil.copy(file, copy)
        self.scene.server.stop()
        lonely = type(self.scene.tool)(self.scene.tool.binary, self.scene.path("nothing"))
        lonely.run("trust", "sign", file, "--key", self.scene.key("root-b"))
        lonely.run("trust", "sign", copy, "--key", self.scene.key("root-c"))
        self.assertFalse(lonely.json("trust", "review", file)["complete"])
        lonely.run("trust", "sign", file, "--merge", copy)
        self.assertTrue(lonely.json("trust", "review", file)["complete"])
        self.scene.server.start()
        self.scene.wait_for_server()
        self.run_tool("trust", "publish", file)
        self.follows("carol", "bob")


@unittest.skipUnless(FAKETIME, "libfaketime is not installed")
class AYearAway(RotationScene):
    """The clock of every process is moved on: what the device kept has all expired, and its keys have all changed."""

    @classmethod
    def prepare(cls, scene):
        super().prepare(scene)
        cls.here = scene.join("here")
        # The first admin's token lives a year.
        token = scene.tool.json("token", "create", "for years", "--role", "admin", "--expires", "150w")["token"]
        with open(scene.path("years.token"), "w", encoding="utf-8") as file:
            file.write(token + "\n")
        cls.run_tool("login", scene.url, "--token-file", scene.path("years.token"), "--ca", scene.certificate)

    def at(self, days):
        """Everybody's clock, from the next start of the process on."""
        moved = {"LD_PRELOAD": FAKETIME, "FAKETIME": f"+{days}d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        self.scene.tool._environment.update(moved)
        self.scene.server.stop()
        for process in (self.scene.server, self.here.agent):
            process._environment.update(moved)
        self.scene.server.start()
        self.scene.wait_for_server()
        wait_until("the server renews its own roles", 30, lambda: not {"snapshot", "timestamp"} & {
            one["role"] for one in self.scene.tool.json("trust", "show")["warnings"]}, 0.2)

    def test_a_device_comes_back_after_a_year(self):
        self.arrives(self.publish("alice"), "here")
        first_root = self.device_root(self.here)
        self.here.stop()
        self.at(200)
        self.run_tool("trust", "root", "add-key", self.pub("root-d"), *self.options("--key", "root-a", "root-b"))
        self.run_tool("trust", "root", "remove-key", self.pub("root-a"), *self.options("--key", "root-b", "root-c"))
        self.run_tool("trust", "online", "rotate", *self.options("--key", "root-b", "root-c", "targets-a"))
        self.at(400)
        # Root was signed 200 days ago; targets too, by the change of the director's key; the model's a year and more.
        doctor = self.scene.tool.json("trust", "doctor", "--keys", self.scene.path("keys"), allowed=(12,))
        self.assertEqual([f["role"] for f in doctor["findings"] if f["code"] == "expired"], [self.scene.model])
        self.run_tool("trust", "root", "remove-key", self.pub("root-b"), *self.options("--key", "root-c", "root-d"))
        self.run_tool("trust", "manager", "remove", self.scene.model, self.pub("alice"),
                      *self.options("--key", "targets-a", "bob"))
        version = self.publish("bob")
        self.here.start()
        self.arrives(version, "here")
        self.assertEqual(self.device_root(self.here), first_root + 4)


if __name__ == "__main__":
    unittest.main(verbosity=2)
