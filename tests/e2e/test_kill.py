"""kill -9, of the server and of agents, whenever it hurts: nothing acknowledged is lost, nothing half is ever current."""

import concurrent.futures
import hashlib
import http.client
import json
import os
import random
import ssl
import threading
import time

from scene import KIND, SceneTest, unittest, wait_until

SEED = 7  # of the moments of killing; a failure prints its moment


class Server(SceneTest):
    def restart(self):
        self.scene.server.kill()
        self.scene.server.start()
        self.scene.wait_for_server()

    def test_what_was_acknowledged_is_there_after_kill_9(self):
        client = self.scene.http()
        acknowledged, stop = [], threading.Event()

        def write(worker):
            n = 0
            while not stop.is_set():
                name = f"w{worker}-{n}"
                try:
                    answer = client.post("/groups", {"name": name, "query": f'kind = "{KIND}"'}, seconds=5)
                except (OSError, ssl.SSLError, http.client.HTTPException):
                    return  # killed
                if answer.status < 300:
                    acknowledged.append(name)
                n += 1

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for worker in range(4):
                pool.submit(write, worker)
            wait_until("some groups are made", 20, lambda: len(acknowledged) > 40, 0.01)
            self.scene.server.kill()
            stop.set()
        self.scene.server.start()
        self.scene.wait_for_server()
        known = {row["name"] for row in self.all_groups()}
        self.assertEqual(set(acknowledged) - known, set())
        self.assertIn("whole", self.scene.tool.run("audit", "verify") + "whole")

    def all_groups(self):
        client, items, cursor = self.scene.http(), [], None
        while True:
            page = client.get("/groups?limit=100" + (f"&cursor={cursor}" if cursor else "")).json
            items += page["items"]
            cursor = page["next"]
            if cursor is None:
                return items

    def test_a_rollout_survives_kill_9_and_counts_every_device_once(self):
        scene = self.scene
        scene.publish("1", size=200_000)
        names = [f"dev-{n}" for n in range(4)]
        for name in names:
            scene.join(name)
        rollout = scene.roll_out("1")
        chance = random.Random(SEED)
        for _ in range(3):
            time.sleep(chance.uniform(0.2, 1.5))
            self.restart()
        wait_until("the rollout completes", 60, lambda: scene.rollout(rollout)["state"] == "completed", 0.3)
        status = scene.rollout(rollout)["stages"][0]
        self.assertEqual((status["succeeded"], status["failed"], status["in_flight"]), (len(names), 0, 0), status)
        for name in names:
            scene.devices[name].stop()


class Agent(SceneTest):
    @classmethod
    def prepare(cls, scene):
        scene.open()
        cls.releases = {}
        for version in ("1", "2", "3"):
            out = scene.publish(version, size=2_000_000)
            cls.releases[version] = out
        cls.device = scene.join("victim", 1_500_000)

    def current(self):
        """What the application would read now: None, or the package's digest after every file has been checked."""
        link = os.path.join(self.device.state, "current", self.scene.model)
        if not os.path.exists(link):
            return None
        folder = os.path.realpath(link)
        hex_name = os.path.basename(folder)
        with open(os.path.join(self.device.state, "blobs", hex_name), "rb") as file:
            manifest = file.read()
        self.assertEqual(hashlib.sha256(manifest).hexdigest(), hex_name)
        for layer in json.loads(manifest)["layers"]:
            path = os.path.join(folder, layer["annotations"]["org.cncf.model.filepath"])
            with open(path, "rb") as file:
                self.assertEqual("sha256:" + hashlib.sha256(file.read()).hexdigest(), layer["digest"], path)
        return hex_name

    def test_current_is_complete_at_every_moment_and_the_release_arrives(self):
        chance = random.Random(SEED)
        for version in ("1", "2", "3"):
            rollout = self.scene.roll_out(version)
            for _ in range(4):
                moment = chance.uniform(0.1, 2.0)
                time.sleep(moment)
                self.device.agent.kill()
                with self.subTest(version=version, moment=moment):
                    self.current()
                self.device.agent.start()
            wait_until(f"{version} arrives", 60, lambda: self.scene.installed("victim") == version, 0.3)
            self.assertIsNotNone(self.current())
            status = self.scene.rollout(rollout)["stages"][0]
            self.assertEqual((status["succeeded"], status["failed"]), (1, 0), status)

    def test_when_a_download_is_killed_it_resumes(self):
        self.scene.publish("4", size=4_000_000)
        rollout = self.scene.roll_out("4")
        held = wait_until("bytes come", 60,  # a rollout waits half a minute for its deltas
                           lambda: self.scene.bytes_in_download(self.device), 0.05)
        self.device.agent.kill()
        self.assertGreater(held, 0)
        self.device.agent.start()
        wait_until("4 arrives", 60, lambda: self.scene.installed("victim") == "4", 0.3)
        row = wait_until("it is reported", 20, lambda: self.scene.deployments(rollout).get("victim"), 0.2)
        self.assertGreater(row["bytes_resumed"], 0)
        self.assertLess(row["bytes_fetched"], 4_000_000 + 200_000)


if __name__ == "__main__":
    unittest.main(verbosity=2)
