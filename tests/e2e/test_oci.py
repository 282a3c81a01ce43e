"""What `drover release export` writes, the distribution's skopeo reads and copies; what it copied, `import` takes."""

import json
import os
import shutil
import subprocess

from scene import KIND, SceneTest, unittest


def skopeo(*arguments):
    done = subprocess.run(["skopeo", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise AssertionError(f"skopeo {' '.join(arguments)}: {done.stderr}")
    return done.stdout


@unittest.skipUnless(shutil.which("skopeo"), "skopeo is not installed")
class Oci(SceneTest):
    @classmethod
    def prepare(cls, scene):
        scene.open()
        scene.publish("1.0.0", size=100000)
        cls.exported = scene.path("exported")
        scene.tool.run("release", "export", scene.model, "1.0.0", "--out", cls.exported)

    def test_the_index_lists_the_variant_with_platform_and_kind(self):
        index = json.loads(skopeo("inspect", "--raw", f"oci:{self.exported}:1.0.0"))
        self.assertEqual(index["mediaType"], "application/vnd.oci.image.index.v1+json")
        entry, = index["manifests"]
        self.assertEqual(entry["platform"], {"os": "linux", "architecture": "amd64"})
        self.assertEqual(entry["annotations"]["org.drover.kind"], KIND)

    def test_a_copy_holds_the_same_blobs_and_can_be_imported(self):
        copy = self.scene.path("copy")
        skopeo("copy", "--all", f"oci:{self.exported}:1.0.0", f"oci:{copy}:1.0.0")
        before = set(os.listdir(os.path.join(self.exported, "blobs", "sha256")))
        after = set(os.listdir(os.path.join(copy, "blobs", "sha256")))
        self.assertLessEqual(after - before, set())
        index = skopeo("inspect", "--raw", f"oci:{copy}:1.0.0")
        self.assertEqual(index, skopeo("inspect", "--raw", f"oci:{self.exported}:1.0.0"))

    def test_one_file_serves_an_air_gap(self):
        archive = self.scene.path("one.tar")
        self.scene.tool.run("release", "export", self.scene.model, "1.0.0", "--out", archive)
        index = json.loads(skopeo("inspect", "--raw", f"oci-archive:{archive}:1.0.0"))
        self.assertEqual(len(index["manifests"]), 1)
        unpacked = self.scene.path("unpacked")
        self.scene.tool.run("release", "import", archive, "--out", unpacked)
        self.assertTrue(os.path.exists(os.path.join(unpacked, "oci-layout")))

    def test_a_damaged_archive_is_not_imported(self):
        archive = self.scene.path("damaged.tar")
        self.scene.tool.run("release", "export", self.scene.model, "1.0.0", "--out", archive)
        with open(archive, "r+b") as file:
            file.seek(os.path.getsize(archive) // 2)
            file.write(b"damage" * 10)
        with self.assertRaises(Exception):
            self.scene.tool.run("release", "import", archive, "--out", self.scene.path("nothing"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
