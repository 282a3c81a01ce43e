"""Confidential models from end to end: the real tool, server and agents, an application and a validator that look whether
they get the plain files, and a search of every disk for what nobody may see."""

import json
import os
import random
import shutil
import tempfile
import time

from scene import KIND, SceneTest, policy, unittest, wait_until, write_json

MARKER = b"nobody may read this weight"
SIZE = 1_500_000
SEED = 11
# Long: a slow machine must not end a trial that the test looks at.
CONFIRMATION = {"deadline_seconds": 120, "healthy_reports": 1, "max_restarts": 20}


def model(seed, like=None):
    """A model with the marker all over it; with `like`, one that differs from it here and there."""
    chance = random.Random(seed)
    content = bytearray(like or chance.randbytes(SIZE))
    for at in range(0, SIZE - len(MARKER), 50_000):
        content[at:at + len(MARKER)] = MARKER
    if like:
        for _ in range(200):
            content[chance.randrange(SIZE)] ^= 1
            content[:len(MARKER)] = MARKER
    return bytes(content)


def files_with(marker, folder):
    found = []
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                if marker in file.read():
                    found.append(path)
    return found


class Confidential(SceneTest):
    @classmethod
    def prepare(cls, scene):
        cls.memory = tempfile.mkdtemp(prefix="drover-plain.", dir="/dev/shm")
        cls.models = {"1": model(1)}
        cls.models["2"] = model(2, like=cls.models["1"])
        cls.models["3"] = model(3, like=cls.models["2"])
        cls.models["bad"] = model(4, like=cls.models["2"]).replace(MARKER, MARKER[::-1])
        application = scene.application
        scene.application = lambda device: application(device) + [MARKER.decode()]
        scene.open()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.memory, ignore_errors=True)

    def package(self, version, place):
        folder = self.scene.path("packages", version + place)
        os.makedirs(os.path.join(folder, "golden"))
        for name, content in (("model.onnx", self.models[version]), ("wish.txt", b"marked " + MARKER),
                              ("golden/inputs.f32", b"1234"), ("golden/outputs.f32", b"5678")):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(content)
        write_json(os.path.join(folder, "drover.json"), {**policy(), "confirmation": CONFIRMATION, "confidential": {"plain": place}})
        return folder

    def publish(self, version, *bases, place="tmpfs", name=None):
        name = name or version
        options = [o for base in bases for o in ("--delta-from", self.scene.path("releases", base))]
        out = self.scene.build(name, self.package(version, place), "--encrypt", *options)
        self.scene.tool.run("release", "sign", out, "--key", self.scene.key("alice"))
        self.scene.tool.run("release", "push", out)
        return out

    def join(self, name, bytes_per_second=0, **settings):
        scene = self.scene
        device = scene.add_device(name, KIND, bytes_per_second)
        scene.write_agent_settings(device, bytes_per_second)
        with open(device.config, encoding="utf-8") as file:
            config = json.load(file)
        write_json(device.config, {**config, "plain_folder": self.memory, "allow_swap": True, **settings})
        device.start()
        wait_until(f"{name} enrols", 60, lambda: scene.device_rows().get(name, {}).get("state") == "active", 0.2)
        return device

    def served(self, device):
        """What an application reads; None while there is nothing."""
        try:
            with open(os.path.join(device.state, "current", self.scene.model, "model.onnx"), "rb") as file:
                return file.read()
        except OSError:
            return None

    def runs(self, device, version, seconds=90):
        wait_until(f"{device.name} serves {version}", seconds, lambda: self.served(device) == self.models[version], 0.2)

    def nothing_plain(self, device):
        self.assertEqual(files_with(MARKER, device.state), [])
        self.assertEqual(files_with(MARKER, self.scene.data), [])

    def roll_out(self, version, device, *stages):
        group = "of-" + device.name
        if group not in {row["name"] for row in self.scene.tool.json("group", "list")["items"]}:
            self.scene.tool.run("group", "create", group, "--query", f'name = "{device.name}"')
        return self.scene.roll_out(version, *stages, group=group)

    def row(self, rollout, device):
        return self.scene.deployments(rollout).get(device.name) or {}

    def ended(self, rollout, device, seconds=90):
        return wait_until("the deployment ends", seconds, lambda: self.is_final(self.row(rollout, device)), 0.3)

    @staticmethod
    def is_final(row):
        return row if row.get("state") in ("succeeded", "failed", "rolled_back", "aborted", "confirmed") else None

    def test_1_a_release_arrives_survives_kills_and_is_plain_text_in_memory_alone(self):
        scene = self.scene
        out = self.publish("1")
        self.assertTrue(files_with(MARKER, scene.path("packages")), "the search finds what is plain")
        self.assertEqual(files_with(MARKER, out), [])
        self.assertTrue(scene.tool.json("release", "show", scene.model, "1")["variants"][0]["encrypted"])
        self.assertEqual(os.stat(out + ".keys").st_mode & 0o777, 0o600)
        device = self.join("first", 700_000)
        rollout = self.roll_out("1", device)
        wait_until("bytes come", 30, lambda: scene.bytes_in_download(device) > 100_000, 0.05)
        device.agent.kill()
        self.nothing_plain(device)
        device.agent.start()
        self.runs(device, "1")
        row = self.ended(rollout, device)
        self.assertGreater(row["bytes_resumed"], 0, row)
        folder = os.path.realpath(os.path.join(device.state, "current", scene.model))
        self.assertTrue(folder.startswith(self.memory), folder)
        self.nothing_plain(device)

    def test_2_the_next_one_comes_as_a_delta_through_kills(self):
        device = self.scene.devices["first"]
        self.publish("2", "1")
        rollout = self.roll_out("2", device)
        chance = random.Random(SEED)
        for _ in range(4):
            time.sleep(chance.uniform(0.05, 0.8))
            device.agent.kill()
            self.nothing_plain(device)
            self.assertIn(self.served(device), (self.models["1"], self.models["2"]))
            device.agent.start()
        self.runs(device, "2")
        row = self.ended(rollout, device)
        self.assertGreater(row["bytes_saved"], SIZE * 9 // 10, row)
        self.assertLess(row["bytes_fetched"], SIZE // 10, row)
        self.nothing_plain(device)

    def test_3_after_a_reboot_without_network_it_goes_back_by_itself(self):
        scene, device = self.scene, self.scene.devices["first"]
        self.publish("bad", "2")
        self.runs(device, "2")
        device.app.stop()
        self.roll_out("bad", device)
        self.runs(device, "bad")
        scene.server.kill()
        device.agent.kill()
        shutil.rmtree(os.path.join(self.memory, os.listdir(self.memory)[0]))  # as a reboot does
        self.assertIsNone(self.served(device))
        device.agent.start()
        self.runs(device, "bad")  # still on trial
        device.app.start()
        self.runs(device, "2")
        self.nothing_plain(device)
        scene.server.start()
        scene.wait_for_server()
        self.assertNotIn("bad", {scene.installed("first")})

    def test_4_files_in_the_agents_memory_serve_as_well(self):
        device = self.join("second")
        self.publish("3", place="memfd", name="3m")
        self.roll_out("3m", device)
        self.runs(device, "3")
        folder = os.path.join(device.state, "current", self.scene.model)
        self.assertTrue(os.readlink(os.path.join(folder, "model.onnx")).startswith("/proc/"))
        with self.assertRaises(OSError):
            with open(os.path.join(folder, "model.onnx"), "r+b") as file:
                file.write(b"x")
        device.agent.kill()
        self.assertIsNone(self.served(device))
        device.agent.start()
        self.runs(device, "3")
        self.nothing_plain(device)

    def test_5_a_device_whose_plain_text_would_reach_a_disk_refuses(self):
        device = self.join("careless", plain_folder=self.scene.path("on-a-disk"))
        row = self.ended(self.roll_out("1", device), device)
        self.assertEqual(row["code"], "preflight_policy", row)
        self.assertIn("plain_folder", row["detail"])
        self.nothing_plain(device)

    def test_6_devices_wait_while_the_wrapping_key_is_away_and_a_new_one_needs_another_push(self):
        scene, device = self.scene, self.join("waiting")
        key = os.path.join(scene.data, "keys", "wrapping.key")
        os.rename(key, key + ".away")
        rollout = self.roll_out("1", device)
        wait_until("it waits for its key", 60, lambda: "wrapping key is not there" in self.log(device), 0.3)
        scene.server.kill()
        scene.server.start()  # makes a new one
        scene.wait_for_server()
        wait_until("the new key is noticed", 60, lambda: "no longer has" in self.log(device), 0.3)
        self.assertNotEqual(self.row(rollout, device).get("state"), "succeeded")
        again = scene.tool.json("release", "push", scene.path("releases", "1"))
        self.assertEqual((again["published"], again["content_keys"]), (False, True))
        self.runs(device, "1")
        lines = scene.http().get("/audit?limit=1000").body.decode()
        self.assertIn("content_key.put", lines)

    def test_7_without_its_keys_it_is_not_published(self):
        out = self.scene.build("lost", self.package_again(), "--encrypt")
        os.rename(out + ".keys", out + ".moved")
        self.scene.tool.run("release", "sign", out, "--key", self.scene.key("alice"))
        with self.assertRaises(Exception) as refused:
            self.scene.tool.run("release", "push", out)
        self.assertIn("--content-keys", str(refused.exception))
        self.scene.tool.run("release", "push", out, "--content-keys", out + ".moved")

    def package_again(self):
        folder = self.scene.path("packages", "again")
        shutil.copytree(self.scene.path("packages", "1tmpfs"), folder)
        return folder

    def test_8_a_package_that_says_it_is_confidential_is_not_built_in_the_clear(self):
        with self.assertRaises(Exception) as refused:
            self.scene.build("clear", self.scene.path("packages", "1tmpfs"))
        self.assertIn("confidential", str(refused.exception))

    def log(self, device):
        with open(device.agent.log, encoding="utf-8", errors="replace") as file:
            return file.read()


if __name__ == "__main__":
    unittest.main(verbosity=2)
