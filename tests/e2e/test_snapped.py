"""A snapped release on its way: built on a grid around the one before, signed, pushed, rolled out, and on a device as a delta."""

import hashlib
import json
import os
import sys

from scene import BIN, SOURCE, SceneTest, policy, unittest, wait_until, write_json

sys.path.insert(0, os.path.join(SOURCE, "tests", "support"))

from small_net import CLASSES, WIDTH, network, onnx_model, outputs, samples, tuned  # noqa: E402

HIDDEN = 2048  # 459 kB
GOLDEN, HELD_OUT = 32, 500


def sha256(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


@unittest.skipUnless(os.environ.get("DROVER_ONNXRUNTIME"), "DROVER_ONNXRUNTIME names no runtime: models cannot be run")
class Snapped(SceneTest):
    @classmethod
    def prepare(cls, scene):
        scene.validator = os.path.join(BIN, "drover-validate-onnx")  # the real one: it runs what was signed
        scene.open()
        cls.v1 = network(1, HIDDEN)
        cls.v2 = tuned(cls.v1)
        cls.device = scene.join("dut")

    def put(self, folder, name, content):
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def package(self, name, params):
        folder = self.scene.path("packages", name)
        x, labels = samples(self.v2, GOLDEN, 3)
        self.put(folder, "model.onnx", onnx_model(params))
        self.put(folder, "golden/inputs.f32", x.tobytes())
        self.put(folder, "golden/outputs.f32", outputs(params, x).astype("float32").tobytes())
        self.put(folder, "golden/labels.u8", labels.tobytes())
        rules = policy(GOLDEN)
        rules["validation"]["golden"].update({"input_shape": [WIDTH], "output_shape": [CLASSES], "labels": "golden/labels.u8",
                                              "atol": 1e-4, "min_accuracy": 0.5})
        write_json(os.path.join(folder, "drover.json"), rules)
        return folder

    def held_out(self):
        folder = self.scene.path("held-out")
        x, labels = samples(self.v2, HELD_OUT, 4)
        self.put(folder, "x.f32", x.tobytes())
        self.put(folder, "y.u8", labels.tobytes())
        path = os.path.join(folder, "held-out.json")
        write_json(path, {"inputs": "x.f32", "labels": "y.u8", "samples": HELD_OUT, "input_shape": [WIDTH]})
        return path

    def ship(self, version, folder, *options):
        """Built, signed, pushed, and on the device: the release's folder and the device's attempt."""
        scene = self.scene
        out = scene.build(version, folder, *options)
        scene.tool.run("release", "sign", out, "--key", scene.key("alice"))
        scene.tool.run("release", "push", out)
        rollout = scene.roll_out(version)
        wait_until(f"{version} completes", 90, lambda: scene.rollout(rollout)["state"] in ("completed", "halted"), 0.2)
        row = scene.deployments(rollout)["dut"]
        self.assertEqual(scene.rollout(rollout)["state"], "completed", row)
        return out, row

    def signed_model(self, out, version):
        """The digest of the model's file, followed from the signed metadata through index and manifest."""
        def stored(digest):
            with open(os.path.join(out, "blobs", *digest.split(":")), "rb") as file:
                content = file.read()
            self.assertEqual(sha256(content), digest)
            return json.loads(content)
        with open(os.path.join(out, "drover", self.scene.model + ".json"), encoding="utf-8") as file:
            metadata = json.load(file)
        self.assertTrue(metadata["signatures"])
        index = stored("sha256:" + metadata["signed"]["targets"][f"{self.scene.model}/{version}"]["hashes"]["sha256"])
        manifest = stored(index["manifests"][0]["digest"])
        layers = {layer["annotations"]["org.cncf.model.filepath"]: layer["digest"] for layer in manifest["layers"]}
        return layers["model.onnx"], manifest.get("annotations", {})

    def on_device(self):
        with open(os.path.join(self.device.state, "current", self.scene.model, "model.onnx"), "rb") as file:
            return file.read()

    def test_what_was_snapped_and_signed_is_what_a_device_makes_of_the_delta(self):
        base, _ = self.ship("1", self.package("1", self.v1))
        self.assertEqual(self.on_device(), onnx_model(self.v1))

        given = self.package("2", self.v2)
        out, row = self.ship("2", given, "--base", base, "--snap", "auto", "--held-out", self.held_out())
        digest, notes = self.signed_model(out, "2")
        installed = self.on_device()
        self.assertEqual(sha256(installed), digest)
        self.assertNotEqual(installed, onnx_model(self.v2), "it was moved onto the grid")
        self.assertNotEqual(digest, self.signed_model(base, "1")[0])
        self.assertIn("org.drover.snap", notes)
        self.assertEqual(notes["org.drover.base.version"], "1")

        # It came as the delta: an eighth of the file at most, where an exact one is more than a half.
        self.assertLess(row["bytes_fetched"], len(installed) // 8, row)
        self.assertGreater(row["bytes_saved"], len(installed) * 7 // 8, row)


if __name__ == "__main__":
    unittest.main(verbosity=2)
