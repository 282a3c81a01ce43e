"""release build --base with real models in ONNX Runtime: snapped weights, kept scales, and what is refused."""

import json
import os
import shutil
import subprocess
import sys
import unittest

import numpy as np
import onnx
from onnx import numpy_helper

from tool import BIN, ToolCase, blob, sha256

sys.path.insert(0, os.path.join(os.environ["DROVER_SOURCE_DIR"], "tests", "support"))

from small_net import CLASSES, HIDDEN, WIDTH, network, onnx_model, outputs, samples, tuned  # noqa: E402

GOLDEN, HELD_OUT = 64, 600
RUNTIME = os.environ.get("DROVER_ONNXRUNTIME", "")


@unittest.skipUnless(RUNTIME, "DROVER_ONNXRUNTIME names no runtime: models cannot be run")
class Base(ToolCase):
    def setUp(self):
        super().setUp()
        self.v1 = network(1)
        self.v2 = tuned(self.v1)

    def drover(self, *arguments, **options):
        return super().drover(*arguments, environment={"DROVER_ONNXRUNTIME": RUNTIME}, **options)

    def write(self, path, content):
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        with open(self.path(path), "wb") as file:
            file.write(content)
        return self.path(path)

    def package(self, name, params, kind="fp32", content=None):
        folder = self.model(name, content or onnx_model(params, kind))
        x, labels = samples(self.v2, GOLDEN, 3)
        for file, array in (("inputs.f32", x), ("outputs.f32", outputs(params, x).astype(np.float32)), ("labels.u8", labels)):
            self.write(f"{name}/golden/{file}", array.tobytes())
        with open(os.path.join(folder, "drover.json"), encoding="utf-8") as file:
            policy = json.load(file)
        policy["validation"]["golden"].update({"samples": GOLDEN, "input_shape": [WIDTH], "output_shape": [CLASSES], "atol": 1e-4,
                                               "labels": "golden/labels.u8", "min_accuracy": 0.5})
        self.write(f"{name}/drover.json", json.dumps(policy).encode())
        return folder

    def held_out(self, shape=(WIDTH,), count=HELD_OUT):
        x, labels = samples(self.v2, HELD_OUT, 4)
        self.write("data/x.f32", x.tobytes())
        self.write("data/y.u8", labels.tobytes())
        text = {"inputs": "x.f32", "labels": "y.u8", "samples": count, "input_shape": list(shape)}
        return self.write("data/held-out.json", json.dumps(text).encode())

    def base(self, kind="fp32", params=None):
        folder = self.package(f"base-{kind}", params or self.v1, kind)
        out = self.path(f"release-{kind}")
        self.ok("release", "build", "net", "1", "--variant", f"kiosk-x64={folder}", "--out", out)
        return out

    def build(self, folder, base, *options):
        return ["release", "build", "net", "2", "--variant", f"kiosk-x64={folder}", "--base", base, "--out", self.path("out"), *options]

    def unpacked(self, release):
        """A release's only package as a device has it: path -> content; and the manifest."""
        with open(os.path.join(release, "index.json"), encoding="utf-8") as file:
            index = json.loads(blob(release, json.load(file)["manifests"][0]["digest"]))
        manifest = json.loads(blob(release, index["manifests"][0]["digest"]))
        return {layer["annotations"]["org.cncf.model.filepath"]: blob(release, layer["digest"]) for layer in manifest["layers"]}, manifest

    def validate(self, release):
        files, _ = self.unpacked(release)
        for path, content in files.items():
            self.write(f"device/{path}", content)
        done = subprocess.run([os.path.join(BIN, "drover-validate-onnx"), "--package", self.path("device"), "--onnxruntime", RUNTIME],
                              capture_output=True, text=True, timeout=120, check=False)
        return json.loads(done.stdout)

    def delta(self, old, new):
        paths = [self.write(f"delta/{name}", self.unpacked(release)[0]["model.onnx"]) for name, release in (("old", old), ("new", new))]
        self.ok("delta", "make", *paths, "--out", self.path("delta/out"))
        self.ok("delta", "apply", paths[0], self.path("delta/out"), "--out", self.path("delta/back"))
        with open(paths[1], "rb") as a, open(self.path("delta/back"), "rb") as b:
            self.assertEqual(a.read(), b.read())
        return os.path.getsize(self.path("delta/out")) / os.path.getsize(paths[1])

    def test_a_snapped_release_is_small_and_as_good(self):
        base = self.base()
        exact = self.path("exact")
        files = self.package("v2", self.v2)
        self.ok("release", "build", "net", "2", "--variant", f"kiosk-x64={files}", "--out", exact)
        built = self.ok(*self.build(files, base, "--snap", "auto", "--held-out", self.held_out(), "--plot", self.path("trade.svg"), "--json"),
                        seconds=300).json()
        out = self.path("out")
        share = self.delta(base, out)
        self.assertLess(share, 0.15)
        self.assertGreater(self.delta(base, exact), 3 * share)

        moved = built["moved"][0]
        taken = [t for t in moved["trials"] if t["deviations"] == moved["deviations"]][0]
        self.assertAlmostEqual(taken["share"], share, places=6)
        self.assertLessEqual(taken["loss"], 0.5)
        self.assertEqual(set(taken["scores"]), {"golden", "held-out"})
        self.assertEqual(moved["trials"][0]["deviations"], 0)
        verdict = self.validate(out)
        self.assertEqual((verdict["verdict"], verdict["max_abs_diff"]), ("pass", 0), verdict)

        notes = self.unpacked(out)[1]["annotations"]
        with open(os.path.join(base, "index.json"), encoding="utf-8") as file:
            self.assertEqual(notes["org.drover.base"], json.load(file)["manifests"][0]["digest"])
        self.assertEqual(notes["org.drover.base.version"], "1")
        self.assertEqual(float(notes["org.drover.snap"]), moved["deviations"])
        before, after = map(float, notes["org.drover.score.held-out"].split())
        self.assertLessEqual(before - after, 0.005)
        with open(self.path("trade.svg"), encoding="utf-8") as file:
            self.assertTrue(file.read().startswith("<svg "))
        # What people gave stays as it was, and nothing is left lying about.
        with open(os.path.join(files, "model.onnx"), "rb") as file:
            self.assertEqual(file.read(), onnx_model(self.v2))
        self.assertFalse(os.path.exists(self.path("out.moving")))

    def test_the_table_shows_each_step_and_marks_the_one_taken(self):
        out = self.ok(*self.build(self.package("v2", self.v2), self.base(), "--snap", "1")).out
        rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
        self.assertIn("golden", rows["MODEL"])
        self.assertIn("exact", rows)
        self.assertTrue(rows["1"].rstrip().endswith("taken"), out)

    def test_the_same_build_gives_the_same_release(self):
        base, files = self.base(), self.package("v2", self.v2)
        first = self.ok(*self.build(files, base, "--snap", "0.5", "--json")).json()
        shutil.rmtree(self.path("out"))
        self.assertEqual(first["index"], self.ok(*self.build(files, base, "--snap", "0.5", "--json")).json()["index"])

    def test_scales_of_int8_weights_are_kept(self):
        base, files = self.base("int8"), self.package("v2", self.v2, "int8")
        exact = self.path("exact")
        self.ok("release", "build", "net", "2", "--variant", f"kiosk-x64={files}", "--out", exact)
        built = self.ok(*self.build(files, base, "--keep-scales", "--max-loss", "2", "--held-out", self.held_out(), "--json")).json()
        moved = built["moved"][0]
        self.assertEqual((moved["how"], moved["tensors"], moved["scales"]), ("scales kept", 2, HIDDEN + CLASSES))
        self.assertGreater(moved["scales_kept"], 0.9 * moved["scales"])
        self.assertLess(moved["changed_after"], moved["changed_before"])
        self.assertLess(self.delta(base, self.path("out")), self.delta(base, exact))
        self.assertEqual(self.validate(self.path("out"))["verdict"], "pass")
        self.assertEqual(self.unpacked(self.path("out"))[1]["annotations"]["org.drover.scales-kept"],
                         f"{moved['scales_kept']} of {moved['scales']}")

    def test_int8_weights_are_quantised_anew_from_the_float_model(self):
        base, files = self.base("int8"), self.package("v2", self.v2, "int8")
        source = onnx_model(self.v2)
        built = self.ok(*self.build(files, base, "--keep-scales", "--float-model", self.write("v2.onnx", source), "--max-loss", "2",
                                    "--held-out", self.held_out(), "--json")).json()
        moved = built["moved"][0]
        self.assertEqual(moved["quantised_from"], sha256(source))
        unpacked, manifest = self.unpacked(self.path("out"))
        self.assertEqual(manifest["annotations"]["org.drover.quantised-from"], sha256(source))
        before, after = map(float, manifest["annotations"]["org.drover.score.held-out"].split())
        self.assertLessEqual(before - after, 0.02)
        stored = {t.name: numpy_helper.to_array(t) for t in onnx.load_from_string(unpacked["model.onnx"]).graph.initializer}
        kept = 0
        for i in (0, 2):
            scale = (np.abs(self.v1[i]).max(1) / 127).astype(np.float32)
            rows = stored[f"s{i}"] == scale
            kept += rows.sum()
            steps = np.abs(np.clip(self.v2[i] / scale[:, None], -127, 127) - stored[f"q{i}"])[rows]
            self.assertLessEqual(steps.max(), 0.5002)  # rounded once
        self.assertEqual(kept, moved["scales_kept"])
        self.assertGreater(kept, 0.9 * moved["scales"])
        self.assertEqual(self.validate(self.path("out"))["verdict"], "pass")
        shutil.rmtree(self.path("out"))
        twice = self.ok(*self.build(files, base, "--keep-scales", "--max-loss", "2", "--json")).json()["moved"][0]
        self.assertLessEqual(moved["trials"][1]["delta_bytes"], twice["trials"][1]["delta_bytes"])

    def test_a_float_model_that_is_not_what_was_quantised_is_refused(self):
        base, files = self.base("int8"), self.package("v2", self.v2, "int8")
        right, other = self.write("v2.onnx", onnx_model(self.v2)), self.write("other.onnx", onnx_model(network(9)))
        for sentence, source in (("not another training", other), ("stores no fp32 weights", os.path.join(files, "model.onnx")),
                                 ("stores no fp32 weights", self.write("text.onnx", b"no model")), ("the file is empty", self.write("e", b""))):
            self.refuse(sentence, files, base, "--keep-scales", "--float-model", source)
        self.refuse("belongs to --keep-scales", files, base, "--snap", "1", "--float-model", right)
        self.refuse("need --base", files, "", "--float-model", right)
        self.refused(3, self.path("none"), *self.build(files, base, "--keep-scales", "--float-model", self.path("none")))

    def test_the_report_has_the_share_of_the_file_and_of_the_package(self):
        base, files = self.base(), self.package("v2", self.v2)
        built = self.ok(*self.build(files, base, "--snap", "1", "--json")).json()["moved"][0]
        old, new = (self.unpacked(release)[0] for release in (base, self.path("out")))
        changed = {path for path in new if new[path] != old.get(path)}
        self.assertEqual(changed, {"model.onnx", "golden/outputs.f32"})
        package = built["package"]
        self.assertEqual(package["bytes"], sum(map(len, new.values())))
        self.assertAlmostEqual(package["share"], package["sent"] / package["bytes"])
        model = built["trials"][1]["delta_bytes"]
        self.assertTrue(model < package["sent"] <= model + len(new["golden/outputs.f32"]), package)
        self.assertLess(package["sent"], package["sent_before"])
        shutil.rmtree(self.path("out"))
        text = self.ok(*self.build(files, base, "--snap", "1")).out
        self.assertRegex(text, r"(?m)^MODEL +DELTA +OF FILE ")
        self.assertRegex(text, rf"(?m)^whole package: .* is sent, {100 * package['share']:.1f} %; .* % as it was given$")

    def test_several_variants_are_drawn_beside_one_another(self):
        base, files = self.path("both"), self.package("v2", self.v2)
        old = self.package("v1", self.v1)
        self.ok("release", "build", "net", "1", "--variant", f"kiosk-x64={old}", "--variant", f"gate-arm64={old}", "--out", base)
        self.ok("release", "build", "net", "2", "--variant", f"kiosk-x64={files}", "--variant", f"gate-arm64={files}", "--base", base,
                "--snap", "1", "--plot", self.path("trade.svg"), "--out", self.path("out"))
        self.assertEqual(sorted(name for name in os.listdir(self.folder) if name.endswith(".svg")),
                         ["trade.gate-arm64.svg", "trade.kiosk-x64.svg"])
        shutil.rmtree(self.path("out"))
        self.refuse("and needs it", files, self.base("int8"), "--keep-scales", "--plot", self.path("none.svg"))

    def refuse(self, sentence, folder, base, *options):
        self.refused(2, sentence, *self.build(folder, base, *options))
        for name in ("out", "out.building", "out.moving"):
            self.assertFalse(os.path.exists(self.path(name)), name)

    def test_what_does_not_fit_is_refused_and_nothing_is_written(self):
        base, files = self.base(), self.package("v2", self.v2)
        narrow = [p[:HIDDEN // 2] if i < 2 else p[:, :HIDDEN // 2] if i == 2 else p for i, p in enumerate(self.v2)]
        broken = [p.copy() for p in self.v2]
        broken[0][3, 3] = np.nan
        renamed = onnx_model(self.v2).replace(b"p0", b"pp").replace(b"p2", b"pq")
        self.refuse("in the base and", self.package("narrow", narrow), base, "--snap", "1")
        self.refuse("the base has no tensor", self.package("renamed", self.v2, content=renamed), base, "--snap", "1")
        self.refuse("NaN", self.package("broken", self.v2, content=onnx_model(broken)), base, "--snap", "1")
        self.refuse("no weights to snap", self.package("whole", self.v2, "int8"), self.base("int8"), "--snap", "1")
        self.refuse("no int8 weights", files, base, "--keep-scales")
        for k in ("0", "-1", "nan", "17", "much"):
            self.refuse("neither auto nor a number", files, base, "--snap", k)
        self.refuse("held-out", files, base, "--snap", "1", "--held-out", self.held_out(shape=(WIDTH + 1,)))
        self.refuse("held-out", files, base, "--snap", "1", "--held-out", self.held_out(count=HELD_OUT + 1))
        self.refuse("max-loss", files, base, "--snap", "1", "--max-loss", "some")
        self.refuse("need --base", files, "", "--snap", "1")
        self.refuse("say what is to be done", files, base)

    def test_a_loss_over_the_limit_is_refused(self):
        wild = tuned(self.v1, 0.5)
        base, files = self.base(params=wild), self.package("v2", self.v2)
        self.refuse("--max-loss is 0.1", files, base, "--snap", "8", "--max-loss", "0.1", "--held-out", self.held_out())

    def test_without_a_runtime_it_says_what_to_do(self):
        base, files = self.base(), self.package("v2", self.v2)
        outcome = ToolCase.drover(self, *self.build(files, base, "--snap", "1"), environment={"DROVER_ONNXRUNTIME": self.path("none.so")})
        self.assertNotEqual(outcome.code, 0)
        self.assertIn("set DROVER_ONNXRUNTIME", outcome.err)
        self.assertFalse(os.path.exists(self.path("out")))


if __name__ == "__main__":
    unittest.main()
