"""Deltas from the release's publication to the device's disk, between real programs."""

import glob
import hashlib
import json
import os
import shutil
import ssl
import sys
import urllib.request

sys.path.insert(0, os.path.join(os.environ["DROVER_SOURCE_DIR"], "tests", "e2e"))

from scene import SceneTest, unittest, wait_until, write_json  # noqa: E402

SIZE = 3_000_000  # bytes of a model
SLOW = 400_000  # bytes a second


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
        cls.versions = 0
        cls.release()
        cls.device = scene.join("kiosk")
        scene.roll_out("1")
        wait_until("the first arrives", 60, lambda: scene.installed("kiosk") == "1", 0.2)

    @classmethod
    def release(cls, changed=60_000):
        """A new release whose model differs from the one before in so many bytes. Its version."""
        cls.versions += 1
        version = str(cls.versions)
        at = int.from_bytes(os.urandom(4), "little") % (cls.size - changed)
        cls.model[at:at + changed] = os.urandom(changed)
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

    def delta_file(self):
        """The delta from what the device has to the newest release, made in the background."""
        path = os.path.join(self.scene.data, "deltas", self.digest(), self.held())
        wait_until("a delta is made", 60, lambda: os.path.exists(path), 0.1)
        return path

    def take_away(self):
        """The server has decided that this delta is not worth it."""
        path = self.delta_file()
        os.remove(path)
        with open(path + ".none", "wb"):
            pass
        return path

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

    def test_a_damaged_delta_costs_a_full_download_and_never_the_base(self):
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
        self.assertGreater(row["bytes_fetched"], SIZE + os.path.getsize(path) - 1000, "the delta's bytes count too")
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
            found = glob.glob(os.path.join(self.device.state, "staging", "*.delta"))
            return sum(os.path.getsize(path) for path in found)

        held = wait_until("a part of it is here", 30, lambda: (
            lambda held: held if delta // 4 < held < delta * 3 // 4 else None)(bytes_of_delta()), 0.02)
        self.device.agent.kill()
        self.device.agent.start()
        row = self.arrived(version, rollout)
        self.assertGreaterEqual(row["bytes_resumed"], held, row)
        self.assertLess(row["bytes_fetched"], delta + 300_000, row)
        self.assertGreater(row["bytes_saved"], SIZE // 3, row)

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
        url = f"/deltas/sha256:{self.digest()}/sha256:{os.path.basename(path)}"
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
        self.assertEqual(client.get(f"/deltas/sha256:{'0' * 64}/sha256:{os.path.basename(path)}").status, 404)
        self.assertEqual(client.get(f"/deltas/sha256:{self.digest()}/nonsense").status, 400)


class Waiting(DeltaCase):
    size = 20_000_000  # its delta takes several seconds, in which the device looks several times

    def test_a_rollout_that_opens_at_once_waits_for_its_deltas(self):
        version = self.release(changed=200_000)
        row = self.arrived(version, self.scene.roll_out(version))
        self.assertGreater(row["bytes_saved"], self.size * 9 // 10, row)
        self.assertEqual(self.metric("drover_blob_served_total"), 1, "the first release alone came whole")


if __name__ == "__main__":
    unittest.main(verbosity=2)
