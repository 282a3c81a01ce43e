"""Deltas from the release's publication to the device's disk, between real programs."""

import array
import glob
import hashlib
import json
import os
import random
import shutil
import ssl
import sys
import urllib.request

sys.path.insert(0, os.path.join(os.environ["DROVER_SOURCE_DIR"], "tests", "e2e"))

from scene import BIN, KIND, SceneTest, unittest, wait_until, write_json  # noqa: E402

SIZE = 3_000_000  # bytes of a model
SLOW = 400_000  # bytes a second
CODEC = ".v1"
NOTHING = hashlib.sha256(b"").hexdigest()  # the base of a packed file


class DeltaCase(SceneTest):
    """Each test has releases of its own: another part of the model changes each time."""

    size = SIZE

    @classmethod
    def setUpClass(cls):
        if cls is DeltaCase:
            raise unittest.SkipTest("only what the others share")
        super().setUpClass()

    @classmethod
    def prepare(cls, scene):
        scene.open()
        cls.model = bytearray(os.urandom(cls.size))
        cls.versions, cls.digests = 0, []
        cls.release()
        cls.device = scene.join("kiosk")
        scene.roll_out("1")
        wait_until("the first arrives", 60, lambda: scene.installed("kiosk") == "1", 0.2)

    @staticmethod
    def other_bytes(count):
        return os.urandom(count)

    @classmethod
    def release(cls, changed=60_000, at=None):
        """A new release whose model differs from the one before in so many bytes, anywhere or there. Its version."""
        cls.versions += 1
        version = str(cls.versions)
        if at is None:
            at = int.from_bytes(os.urandom(4), "little") % (cls.size - changed)
        cls.model[at:at + changed] = cls.other_bytes(changed)
        cls.digests.append(hashlib.sha256(cls.model).hexdigest())
        folder = cls.scene.make_package(version)
        with open(os.path.join(folder, "model.onnx"), "wb") as out:
            out.write(cls.model)
        out = cls.scene.build(version, folder)
        cls.scene.tool.run("release", "sign", out, "--key", cls.scene.key("alice"))
        cls.scene.tool.run("release", "push", out)
        return version

    # --- what is where ------------------------------------------------------------------------------------------------

    def digest(self):
        return hashlib.sha256(self.model).hexdigest()

    def held(self):
        """Digest of the model that the device has now."""
        with open(os.path.join(self.device.state, "current", self.scene.model, "model.onnx"), "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()

    def delta_path(self, target, base):
        return os.path.join(self.scene.data, "deltas", target, base + CODEC)

    def delta_file(self, target=None, base=None):
        """The delta from what the device has to the newest release (or others), made in the background."""
        path = self.delta_path(target or self.digest(), base or self.held())
        wait_until("a delta is made", 300, lambda: os.path.exists(path), 0.1)
        return path

    def take_away(self, bases=None):
        """The server has decided that deltas from these are not worth it; from any earlier model when none is named."""
        self.delta_file()
        self.scene.server.kill()
        for path in (self.delta_path(self.digest(), base) for base in bases or self.digests[:-1]):
            if os.path.exists(path):
                os.remove(path)
            with open(path + ".none", "wb"):
                pass
        self.scene.server.start()
        self.scene.wait_for_server()
        return self.delta_path(self.digest(), self.held())

    def staging(self, pattern):
        return glob.glob(os.path.join(self.device.state, "staging", pattern))

    def deployment(self, rollout, holds):
        """The device's attempt, as soon as this holds for it."""
        def row():
            found = self.scene.deployments(rollout).get("kiosk")
            return found if found and holds(found) else None

        return wait_until("the deployment gets there", 90, row, 0.2)

    def arrived(self, version, rollout):
        row = self.deployment(rollout, lambda row: row["state"] in ("succeeded", "failed"))
        self.assertEqual((row["state"], row["code"], self.scene.installed("kiosk")), ("succeeded", "ok", version), row)
        self.assert_exact()
        return row

    def assert_exact(self):
        self.assertEqual(self.held(), self.digest())
        self.assertEqual([name for name in os.listdir(os.path.join(self.device.state, "staging")) if "." in name], [])

    def metric(self, name):
        context = ssl.create_default_context(cafile=self.scene.certificate)
        with urllib.request.urlopen(self.scene.url + "/metrics", context=context, timeout=20) as answer:
            text = answer.read().decode()
        return float(next(line.split()[-1] for line in text.splitlines() if line.startswith(name)))

    def set_device(self, device, **settings):
        device.agent.stop()
        with open(device.config, encoding="utf-8") as file:
            config = json.load(file)
        write_json(device.config, {**config, **settings})
        device.agent.start()

    def restart_server(self):
        self.scene.server.kill()
        self.scene.server.start()
        self.scene.wait_for_server()


class Deltas(DeltaCase):
    def test_a_delta_is_used_and_exact_and_counted(self):
        served, saved = self.metric("drover_delta_served_total"), self.metric("drover_delta_bytes_saved_total")
        version = self.release()
        rollout = self.scene.roll_out(version)
        row = self.arrived(version, rollout)
        self.assertLess(row["bytes_fetched"], SIZE // 10, row)
        self.assertGreater(row["bytes_saved"], SIZE * 9 // 10, row)
        self.assertEqual(self.metric("drover_delta_served_total"), served + 1)
        self.assertGreater(self.metric("drover_delta_bytes_saved_total"), saved + SIZE * 9 // 10)
        self.assertGreaterEqual(self.metric("drover_deltas_ready"), 1)
        self.assertEqual(self.metric("drover_deltas_pending"), 0)
        self.assertGreater(self.metric("drover_deltas_bytes"), 0)
        self.assertGreater(self.metric("drover_delta_hit_rate"), 0)
        savings = self.scene.rollout(rollout)["savings"]
        self.assertEqual((savings["updates"], savings["by_delta"], savings["delta_hit_rate"]), (1, 1, 1))
        self.assertEqual((savings["bytes_fetched"], savings["bytes_saved"]), (row["bytes_fetched"], row["bytes_saved"]))
        status = self.scene.tool.run("rollout", "status", rollout)
        self.assertRegex(status, r"bytes: 1 of 1 update by delta, .* fetched, .* saved")

    def test_a_damaged_delta_is_fetched_once_more_and_then_the_whole_file_and_never_costs_the_base(self):
        before = self.held()
        version = self.release()
        path = self.delta_file()
        with open(path, "r+b") as file:
            file.seek(os.path.getsize(path) // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
        rollout = self.scene.roll_out(version)
        row = self.arrived(version, rollout)
        self.assertEqual(row["bytes_saved"], 0, row)
        twice = 2 * os.path.getsize(path)
        self.assertGreater(row["bytes_fetched"], SIZE + twice - 1000, "the delta's bytes count too")
        self.assertLess(row["bytes_fetched"], SIZE + twice + 100_000)
        with open(os.path.join(self.device.state, "blobs", before), "rb") as file:
            self.assertEqual(hashlib.sha256(file.read()).hexdigest(), before)

    def test_a_decoder_that_crashes_costs_the_whole_file_and_neither_the_agent_nor_the_base(self):
        crashes = self.scene.path("crashes")
        with open(crashes, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nkill -SEGV $$\n")
        os.chmod(crashes, 0o755)
        self.set_device(self.device, patcher=crashes)
        self.addCleanup(self.set_device, self.device, patcher=os.path.join(BIN, "drover-patch"))
        pid, before = self.device.agent.pid, self.held()
        version = self.release()
        self.delta_file()
        row = self.arrived(version, self.scene.roll_out(version))
        self.assertEqual(row["bytes_saved"], 0, row)
        self.device.agent.check()
        self.assertEqual(self.device.agent.pid, pid)
        with open(os.path.join(self.device.state, "blobs", before), "rb") as file:
            self.assertEqual(hashlib.sha256(file.read()).hexdigest(), before)

    def test_without_a_delta_the_whole_file_is_fetched(self):
        version = self.release()
        self.take_away()
        rollout = self.scene.roll_out(version)
        row = self.arrived(version, rollout)
        self.assertGreaterEqual(row["bytes_fetched"], SIZE, row)
        self.assertEqual(row["bytes_saved"], 0, row)

    def test_on_a_metered_link_a_device_waits_for_the_delta_and_says_so(self):
        self.set_device(self.device, metered=True)
        self.addCleanup(self.set_device, self.device, metered=False)
        version = self.release()
        path = self.take_away()
        rollout = self.scene.roll_out(version)
        row = self.deployment(rollout, lambda row: row["code"] == "delta_missing")
        self.assertEqual(row["state"], "in_flight")
        self.assertLess(row["bytes_fetched"], SIZE // 10)
        self.assertNotEqual(self.scene.installed("kiosk"), version)
        # The server finds out what is missing at its next start, and the device what there is at its next try.
        os.remove(path + ".none")
        self.restart_server()
        self.delta_file()
        self.assertLess(self.arrived(version, rollout)["bytes_fetched"], SIZE // 10)

    def test_a_download_of_a_delta_goes_on_after_kill_9(self):
        self.set_device(self.device, max_rate=SLOW)
        self.addCleanup(self.set_device, self.device, max_rate=0)
        version = self.release(changed=SIZE // 2)
        delta = os.path.getsize(self.delta_file())
        self.assertGreater(delta, SIZE // 3)
        rollout = self.scene.roll_out(version)

        def bytes_of_delta():
            return sum(os.path.getsize(path) for path in self.staging("*.delta"))

        held = wait_until("a part of it is here", 30, lambda: (
            lambda held: held if delta // 4 < held < delta * 3 // 4 else None)(bytes_of_delta()), 0.02)
        self.device.agent.kill()
        self.device.agent.start()
        row = self.arrived(version, rollout)
        self.assertGreaterEqual(row["bytes_resumed"], held, row)
        self.assertLess(row["bytes_fetched"], delta + 300_000, row)
        self.assertGreater(row["bytes_saved"], SIZE // 3, row)

    def publish_two(self, changed):
        """Two releases more, and no direct delta to the second: the deltas' sizes."""
        held = self.held()
        self.release(changed)
        middle = self.digest()
        first = self.delta_file(middle, held)
        version = self.release(changed)
        second = self.delta_file(self.digest(), middle)
        self.take_away([held])
        return version, os.path.getsize(first), os.path.getsize(second)

    def test_a_device_two_releases_behind_comes_by_a_chain_where_that_is_the_smallest(self):
        version, first, second = self.publish_two(60_000)
        row = self.arrived(version, self.scene.roll_out(version))
        self.assertLess(row["bytes_fetched"], first + second + 100_000, row)
        self.assertEqual(row["bytes_saved"], SIZE - first - second, row)

    def test_a_chain_goes_on_after_kill_9_from_what_it_has_made(self):
        self.set_device(self.device, max_rate=SLOW)
        self.addCleanup(self.set_device, self.device, max_rate=0)
        version, first, second = self.publish_two(SIZE // 4)
        rollout = self.scene.roll_out(version)
        wait_until("the first step is done", 60, lambda: self.staging("*.between"), 0.02)
        self.device.agent.kill()
        self.device.agent.start()
        row = self.arrived(version, rollout)
        self.assertLess(row["bytes_fetched"], first + second + 300_000, row)
        self.assertEqual(row["bytes_saved"], SIZE - first - second, row)

    def test_a_file_that_another_model_has_already_is_not_sent_again(self):
        self.set_device(self.device, confirm_without_application=True)
        self.addCleanup(self.set_device, self.device, confirm_without_application=False)
        scene, other = self.scene, "other"
        scene.tool.run("trust", "delegate", other, "--release-key", scene.key("alice") + ".pub", "--threshold", 1,
                       "--targets-key", scene.key("targets"))
        folder = scene.make_package("of-another-model")
        shutil.copy(os.path.join(self.device.state, "current", scene.model, "model.onnx"), folder)
        out = scene.path("releases", "other-1")
        scene.tool.run("release", "build", other, "1", "--variant", f"{KIND}={folder}", "--out", out)
        scene.tool.run("release", "sign", out, "--key", scene.key("alice"))
        scene.tool.run("release", "push", out)
        served = self.metric("drover_blob_served_total")
        scene.ensure_group("all")
        rollout = scene.tool.json("rollout", "create", "--name", "other", "--model", other, "--release", "1", "--group",
                                  "all", "--stage", "100%,auto")["id"]
        row = self.deployment(rollout, lambda row: row["state"] in ("succeeded", "failed"))
        self.assertEqual((row["state"], row["code"]), ("succeeded", "ok"), row)
        self.assertLess(row["bytes_fetched"], 4096, row)
        self.assertEqual(self.metric("drover_blob_served_total"), served)

    def test_the_way_depends_on_what_is_held_and_what_can_be_decoded(self):
        held = self.held()
        self.release()
        size = os.path.getsize(self.delta_file())
        client = self.scene.http()
        url = f"/deltas/sha256:{self.digest()}?have=sha256:{'0' * 64},sha256:{held}"
        for asked in (url, url + "&codecs=1", url + "&codecs=1,7"):
            steps = client.get(asked).json["steps"]
            self.assertEqual([(step["base"], step["codec"], step["bytes"]) for step in steps], [("sha256:" + held, 1, size)])
        self.assertEqual(client.get(url + "&codecs=7").json["steps"], [])
        self.assertEqual(client.get(f"/deltas/sha256:{self.digest()}").json["steps"], [])
        self.assertEqual(client.get(url + "&codecs=x").status, 400)
        self.assertEqual(len(client.get(url + f"&room={SIZE + size}").json["steps"]), 1)
        self.assertEqual(client.get(url + f"&room={SIZE + size - 1}").json["steps"], [], "no room for delta and file at once")
        self.assertEqual(client.get(url + "&room=much").status, 400)
        self.assertEqual(client.get(url + ",nonsense").status, 400)
        self.assertEqual(client.get(f"/deltas/sha256:{self.digest()}/sha256:{held}?codec=7").status, 404)

    def test_a_server_that_was_killed_makes_what_is_missing_at_its_next_start(self):
        self.release()
        made = self.delta_file()
        with open(made, "rb") as file:
            content = file.read()
        self.scene.server.kill()
        shutil.rmtree(os.path.join(self.scene.data, "deltas"))
        os.makedirs(os.path.dirname(made))
        with open(made + ".tmp", "wb") as file:  # what an interrupted one leaves
            file.write(b"half")
        self.scene.server.start()
        self.scene.wait_for_server()
        with open(self.delta_file(), "rb") as file:
            self.assertEqual(file.read(), content)
        self.assertFalse(os.path.exists(made + ".tmp"))

    def test_who_may_not_read_blobs_may_not_read_deltas_and_ranges_are_served(self):
        self.release()
        path = self.delta_file()
        with open(path, "rb") as file:
            content = file.read()
        base = os.path.basename(path)[:64]
        url = f"/deltas/sha256:{self.digest()}/sha256:{base}"
        self.assertEqual(self.scene.http(token="").get(url).status, 401)
        client = self.scene.http()
        whole = client.get(url)
        self.assertEqual((whole.status, whole.body), (200, content))
        etag = whole.headers["ETag"]
        self.assertFalse(etag.startswith("W/"))
        part = client.get(url, headers={"Range": "bytes=10-19", "If-Range": etag})
        self.assertEqual((part.status, part.body), (206, content[10:20]))
        self.assertEqual(client.get(url, headers={"Range": "bytes=10-19", "If-Range": '"other"'}).status, 200)
        self.assertEqual(client.get(url, headers={"Range": f"bytes={len(content)}-"}).status, 416)
        head = client.request("HEAD", url)
        self.assertEqual((head.status, head.headers["Content-Length"], head.body), (200, str(len(content)), b""))
        self.assertEqual(client.get(f"/deltas/sha256:{'0' * 64}/sha256:{base}").status, 404)
        self.assertEqual(client.get(f"/deltas/sha256:{self.digest()}/nonsense").status, 400)


class Packed(DeltaCase):
    """Numbers as a model has them, which are smaller packed even without an earlier version."""

    size = 4 * 400_000
    draw = random.Random(4)

    @classmethod
    def other_bytes(cls, count):
        return array.array("f", (cls.draw.gauss(0, 0.05) for _ in range(count // 4))).tobytes()

    @classmethod
    def prepare(cls, scene):
        scene.open()
        cls.model = bytearray(cls.other_bytes(cls.size))
        cls.versions, cls.digests = 0, []
        cls.release()
        cls.first_packed = os.path.getsize(cls.wait_for_packed())
        cls.device = scene.join("kiosk")
        cls.first = scene.roll_out("1")
        wait_until("the first arrives", 60, lambda: scene.installed("kiosk") == "1", 0.2)
        cls.first_row = wait_until("and says so", 60, lambda: (
            lambda row: row if row and row["state"] == "succeeded" else None)(scene.deployments(cls.first).get("kiosk")), 0.2)
        cls.shown = scene.tool.run("release", "show", scene.model, "1")

    @classmethod
    def wait_for_packed(cls):
        path = os.path.join(cls.scene.data, "deltas", cls.digests[-1], NOTHING + CODEC)
        wait_until("the file is packed", 120, lambda: os.path.exists(path), 0.1)
        return path

    def publish_without_deltas(self):
        """A release that no delta leads to, but a packed file: its version, and the packed file."""
        version = self.release(changed=self.size // 4, at=self.size // 4 * (self.versions % 4))
        packed = self.wait_for_packed()
        self.take_away()
        return version, packed

    def test_a_first_installation_comes_packed_and_is_no_delta(self):
        row = self.first_row
        self.assertLess(self.first_packed, self.size * 90 // 100)
        self.assertLess(row["bytes_fetched"], self.first_packed + 20_000, "and the documents")
        self.assertEqual(row["bytes_saved"], 0, "not by a delta")
        savings = self.scene.rollout(self.first)["savings"]
        self.assertEqual((savings["updates"], savings["by_delta"]), (0, 0))
        self.assertRegex(self.shown, r"1 file packed for new devices \(1\.\d MiB instead of 1\.\d MiB\)")

    def test_a_device_whose_version_has_no_delta_gets_the_file_packed_and_that_is_no_hit(self):
        version, packed = self.publish_without_deltas()  # which starts the server anew
        rollout = self.scene.roll_out(version)
        row = self.arrived(version, rollout)
        size = os.path.getsize(packed)
        self.assertLess(row["bytes_fetched"], size + 100_000, row)
        self.assertEqual(row["bytes_saved"], 0, row)
        self.assertEqual(self.metric("drover_packed_served_total"), 1)
        self.assertEqual(self.metric("drover_packed_bytes_saved_total"), self.size - size)
        savings = self.scene.rollout(rollout)["savings"]
        self.assertEqual((savings["updates"], savings["by_delta"], savings["delta_hit_rate"]), (1, 0, 0))

    def test_a_download_of_a_packed_file_goes_on_after_kill_9(self):
        self.set_device(self.device, max_rate=SLOW)
        self.addCleanup(self.set_device, self.device, max_rate=0)
        version, packed = self.publish_without_deltas()
        size = os.path.getsize(packed)
        rollout = self.scene.roll_out(version)

        def so_far():
            return sum(os.path.getsize(path) for path in self.staging(f"*.from-{NOTHING}.delta"))

        held = wait_until("a part of it is here", 60, lambda: (
            lambda held: held if size // 4 < held < size * 3 // 4 else None)(so_far()), 0.02)
        self.device.agent.kill()
        self.device.agent.start()
        row = self.arrived(version, rollout)
        self.assertGreaterEqual(row["bytes_resumed"], held, row)
        self.assertLess(row["bytes_fetched"], size + 300_000, row)

    def test_a_damaged_packed_file_is_fetched_once_more_and_then_the_plain_one(self):
        version, packed = self.publish_without_deltas()
        with open(packed, "r+b") as file:
            file.seek(os.path.getsize(packed) // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
        row = self.arrived(version, self.scene.roll_out(version))
        self.assertGreater(row["bytes_fetched"], self.size + 2 * os.path.getsize(packed) - 1000, row)
        self.assertLess(row["bytes_fetched"], self.size + 2 * os.path.getsize(packed) + 100_000, row)

    def test_a_decoder_that_gets_no_memory_costs_the_plain_file(self):
        starved = self.scene.path("starved")
        with open(starved, "w", encoding="utf-8") as file:  # enough to start, too little to decode
            file.write(f'#!/bin/sh\nulimit -d 1200\nexec {os.path.join(BIN, "drover-patch")} "$@"\n')
        os.chmod(starved, 0o755)
        self.set_device(self.device, patcher=starved)
        self.addCleanup(self.set_device, self.device, patcher=os.path.join(BIN, "drover-patch"))
        pid = self.device.agent.pid
        version, _ = self.publish_without_deltas()
        row = self.arrived(version, self.scene.roll_out(version))
        self.assertGreater(row["bytes_fetched"], self.size, row)
        self.device.agent.check()
        self.assertEqual(self.device.agent.pid, pid)

    def test_a_link_that_carries_deltas_alone_carries_no_packed_file_of_what_has_an_earlier_version(self):
        self.set_device(self.device, metered=True)
        self.addCleanup(self.set_device, self.device, metered=False)
        version, _ = self.publish_without_deltas()
        none = self.delta_path(self.digest(), self.held()) + ".none"
        rollout = self.scene.roll_out(version)
        row = self.deployment(rollout, lambda row: row["code"] == "delta_missing")
        self.assertLess(row["bytes_fetched"], self.size // 10, row)
        self.assertNotEqual(self.scene.installed("kiosk"), version)
        os.remove(none)
        self.restart_server()
        self.delta_file()
        self.arrived(version, rollout)


class Waiting(DeltaCase):
    size = 20_000_000  # its delta takes several seconds, in which the device looks several times

    @classmethod
    def prepare(cls, scene):
        super().prepare(scene)
        scene.server.arguments.extend(["--delta-wait-seconds", "300"])  # several seconds may be minutes on a busy machine
        scene.server.stop()
        scene.server.start()
        scene.wait_for_server()

    def test_a_rollout_that_opens_at_once_waits_for_its_deltas(self):
        version = self.release(changed=200_000)
        rollout = self.scene.roll_out(version)
        self.assert_that_who_waits_hears_of_the_deltas(rollout)
        row = self.arrived(version, rollout)
        self.assertGreater(row["bytes_saved"], self.size * 9 // 10, row)
        self.assertEqual(self.metric("drover_blob_served_total"), 0, "nothing came whole since the server started")

    def assert_that_who_waits_hears_of_the_deltas(self, rollout):
        client = self.scene.http()
        seen = client.get(f"/rollouts/{rollout}")
        before = seen.json["deltas"]
        self.assertIn(before["state"], ("waiting", "making"))
        etag = seen.headers["ETag"]
        version = etag.split(";")[0].strip('"')
        answers = []
        while ";" in etag:
            seen = client.get(f"/rollouts/{rollout}?wait=20", headers={"If-None-Match": etag}, seconds=60)
            if seen.status == 200:
                answers.append((seen.headers["ETag"].split(";")[0].strip('"'), seen.json["deltas"]))
            etag = seen.headers["ETag"]
        self.assertGreaterEqual(sum(one == version for one, _ in answers), 2, "more than that it has ended")
        self.assertLessEqual(len(answers), 60, "in few steps")
        self.assertEqual(answers[-1][1]["state"], "ready")

    def progress(self, version):
        return self.scene.http().get(f"/models/{self.scene.model}/releases/{version}").json.get("deltas", {})

    def test_people_see_how_far_the_deltas_are_and_a_server_killed_in_the_middle_begins_anew(self):
        version = self.release(changed=200_000)
        making = wait_until("it is being made", 60, lambda: (
            lambda seen: seen if seen.get("state") == "making" and seen["bytes_done"] > 0 else None)(self.progress(version)),
            0.02)
        self.assertEqual((making["wanted"], making["ready"], making["bytes_total"]), (1, 0, 2 * self.size), "one more: packed")
        self.assertGreater(self.metric("drover_deltas_pending_bytes"), 0)
        self.scene.server.kill()
        half = self.delta_path(self.digest(), self.held()) + ".tmp"
        self.assertTrue(os.path.exists(half))
        self.scene.server.start()
        self.scene.wait_for_server()
        path = self.delta_file()
        self.assertFalse(os.path.exists(half))
        ready = wait_until("it is ready", 60, lambda: (
            lambda seen: seen if seen.get("state") == "ready" else None)(self.progress(version)), 0.05)
        self.assertEqual((ready["wanted"], ready["ready"], ready["failed"]), (1, 1, 0))
        self.assertEqual((ready["delta_bytes"], ready["whole_bytes"]), (os.path.getsize(path), self.size))
        self.assertIn("1 of 1 ready", self.scene.tool.run("release", "show", self.scene.model, version))
        self.arrived(version, self.scene.roll_out(version))


class Budget(DeltaCase):
    """At most 1 MiB for deltas, of which each has some 400 or 800 kB."""

    @classmethod
    def prepare(cls, scene):
        super().prepare(scene)
        scene.server.arguments.extend(["--delta-budget-mib", "1"])
        scene.server.stop()
        scene.server.start()
        scene.wait_for_server()

    def test_the_oldest_makes_room_but_never_what_an_open_rollout_needs(self):
        first = self.digest()
        second_version = self.release(400_000, at=100_000)
        second = self.digest()
        needed = self.delta_file(second, first)
        rollout = self.scene.roll_out(second_version, "50%", "100%")  # waits for a person's promotion: open
        self.arrived(second_version, rollout)
        self.release(400_000, at=900_000)
        third = self.digest()
        old = self.delta_file(third, second)
        self.release(400_000, at=1_700_000)
        kept = self.delta_file(self.digest(), third)
        wait_until("one had to go", 30, lambda: not os.path.exists(old), 0.1)
        self.assertTrue(os.path.exists(needed))
        self.assertTrue(os.path.exists(kept))
        self.assertFalse(os.path.exists(self.delta_path(self.digest(), second)), "would need more than there is")
        self.assertEqual(self.scene.rollout(rollout)["state"], "awaiting_promotion")
        self.assertLessEqual(self.metric("drover_deltas_bytes"), 1 << 20)
        self.assertEqual(self.metric("drover_deltas_removed_total"), 1)
        self.assertGreaterEqual(self.metric("drover_deltas_failed_total"), 1)
        self.assert_that_what_found_no_room_is_not_made_again_before_there_is(second, third)

    def assert_that_what_found_no_room_is_not_made_again_before_there_is(self, second, third):
        path = self.delta_path(self.digest(), second)
        self.assertTrue(os.path.exists(path + ".full"))
        made = self.times_made(second)
        self.restart_server()
        wait_until("it has looked at all", 60, lambda: self.metric("drover_deltas_pending") == 0 and
                   self.metric("drover_deltas_failed_total") >= 1, 0.1)
        self.assertEqual(self.times_made(second), made, "no time was spent on it")
        self.scene.server.arguments[-1] = "100"
        self.restart_server()
        self.delta_file(self.digest(), second)
        self.assertEqual(self.times_made(second), made + 1)
        self.assertFalse(os.path.exists(path + ".full"))
        self.assertTrue(os.path.exists(self.delta_path(self.digest(), third)))

    def times_made(self, base):
        with open(self.scene.server.log, encoding="utf-8") as log:
            return sum("a delta is made" in line and base in line and self.digest() in line for line in log)


if __name__ == "__main__":
    unittest.main(verbosity=2)
