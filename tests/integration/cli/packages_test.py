"""release build, and what is refused of packages and files: no server needed."""

import io
import json
import os
import shutil
import subprocess
import tarfile
import unittest

from tool import ToolCase, blob, sha256


def skopeo(*arguments):
    return subprocess.run(["skopeo", "--insecure-policy", *arguments], text=True, capture_output=True, timeout=60)


class Build(ToolCase):
    def test_a_release_is_an_oci_layout_whose_digests_fit(self):
        out = self.release()
        with open(os.path.join(out, "index.json"), encoding="utf-8") as file:
            entry = json.load(file)["manifests"][0]
        self.assertEqual(entry["annotations"]["org.opencontainers.image.ref.name"], "1.0.0")
        index = json.loads(blob(out, entry["digest"]))
        self.assertEqual(sha256(blob(out, entry["digest"])), entry["digest"])
        kinds = {m["annotations"]["org.drover.kind"]: m["platform"]["architecture"] for m in index["manifests"]}
        self.assertEqual(kinds, {"kiosk-x64": "amd64", "gate-arm64": "arm64"})

    def test_equal_folders_give_equal_releases(self):
        first = self.release(out=self.path("one"))
        shutil.rmtree(self.path("files-mnist-1.0.0-x64"))
        shutil.rmtree(self.path("files-mnist-1.0.0-arm"))
        second = self.release(out=self.path("two"))
        with open(os.path.join(first, "index.json"), "rb") as a, open(os.path.join(second, "index.json"), "rb") as b:
            self.assertEqual(a.read(), b.read())

    def test_json_names_every_variant(self):
        files = self.model("files")
        built = self.ok("release", "build", "mnist", "2", "--variant", f"kiosk-x64={files}", "--out", self.path("out"), "--json").json()
        self.assertEqual([v["kind"] for v in built["variants"]], ["kiosk-x64"])
        self.assertEqual(built["variants"][0]["runtime"], "onnx")
        self.assertEqual(built["variants"][0]["files"], 4)

    def build(self, code, sentence, files, **options):
        self.refused(code, sentence, "release", "build", "mnist", "1", "--variant", f"kiosk-x64={files}", "--out", self.path("out"), **options)
        self.assertFalse(os.path.exists(self.path("out")))
        self.assertFalse(os.path.exists(self.path("out.building")))

    def test_links_are_refused(self):
        files = self.model("files")
        os.symlink("/etc/passwd", os.path.join(files, "extra.bin"))
        self.build(1, "extra.bin", files)

    def test_sockets_and_pipes_are_refused(self):
        files = self.model("files")
        os.mkfifo(os.path.join(files, "pipe"))
        self.build(1, "pipe", files)

    def test_names_that_differ_by_case_only_are_refused(self):
        files = self.model("files")
        for name in ("Labels.txt", "labels.txt"):
            with open(os.path.join(files, name), "w", encoding="utf-8") as out:
                out.write(name)
        self.build(1, "abels.txt", files)

    def test_unsafe_names_are_refused(self):
        files = self.model("files")
        with open(os.path.join(files, "with space"), "w", encoding="utf-8") as out:
            out.write("x")
        self.build(1, "with space", files)

    def test_a_folder_without_its_policy_is_refused(self):
        files = self.model("files")
        os.remove(os.path.join(files, "drover.json"))
        self.build(3, "drover.json", files)

    def test_a_policy_with_an_unknown_field_is_refused_with_its_place(self):
        files = self.model("files")
        with open(os.path.join(files, "drover.json"), encoding="utf-8") as file:
            policy = json.load(file)
        policy["confirmation"]["healthy_report"] = 3
        with open(os.path.join(files, "drover.json"), "w", encoding="utf-8") as file:
            json.dump(policy, file)
        self.build(1, "healthy_report", files)

    def test_an_existing_folder_is_never_written_into(self):
        out, files = self.release(), self.model("files")
        self.refused(5, "exists already", "release", "build", "mnist", "2", "--variant", f"kiosk-x64={files}", "--out", out)

    def test_bad_names_are_refused_before_anything_is_read(self):
        for model, version in (("targets", "1"), ("../x", "1"), ("MNIST", "1"), ("mnist", "../1"), ("mnist", "")):
            self.refused(2, "is no", "release", "build", model, version, "--variant", "k=/nowhere", "--out", self.path("out"))
        self.refused(2, "stands twice", "release", "build", "m", "1", "--variant", f"k={self.folder}", "--variant", f"k={self.folder}", "--out", self.path("out"))


class Files(ToolCase):
    """import --out: what comes from a stick."""

    def tar(self, members):
        path = self.path("in.tar")
        with tarfile.open(path, "w") as out:
            for info, data in members:
                info.size = len(data)
                out.addfile(info, io.BytesIO(data))
        return path

    def packed(self, change=lambda members: members):
        folder = self.release()
        members = []
        for base, _, names in sorted(os.walk(folder)):
            for name in sorted(names):
                with open(os.path.join(base, name), "rb") as file:
                    members.append((tarfile.TarInfo(os.path.relpath(os.path.join(base, name), folder)), file.read()))
        return self.tar(change(members))

    def refuse(self, sentence, tar, code=1):
        self.refused(code, sentence, "release", "import", tar, "--out", self.path("unpacked"))
        self.assertEqual([n for n in os.listdir(self.folder) if n.startswith("unpacked")], [])

    def test_a_tar_of_another_tool_is_unpacked(self):
        self.ok("release", "import", self.packed(), "--out", self.path("unpacked"))
        self.assertTrue(os.path.exists(self.path("unpacked", "oci-layout")))

    def test_links_are_refused(self):
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo("index.json")
            info.type, info.linkname = kind, "/etc/passwd"
            self.refuse("link or a special file", self.tar([(info, b"")]))

    def test_paths_that_lead_out_are_refused(self):
        for name in ("../index.json", "/etc/cron.d/x", "blobs/sha256/../../../x", "drover/../../x.json"):
            self.refuse("is no file of a release", self.tar([(tarfile.TarInfo(name), b"x")]))

    def test_a_name_that_stands_twice_is_refused(self):
        self.refuse("stands twice", self.packed(lambda members: members + [members[-1]]))

    def test_a_changed_blob_is_refused(self):
        def change(members):
            at = max(range(len(members)), key=lambda i: len(members[i][1]))
            members[at] = (members[at][0], b"X" + members[at][1][1:])
            return members

        self.refuse("sha256:", self.packed(change))

    def test_a_missing_blob_is_refused(self):
        def change(members):
            at = max(range(len(members)), key=lambda i: len(members[i][1]))
            return members[:at] + members[at + 1 :]

        self.refuse("blobs/sha256/", self.packed(change), 3)

    def test_a_truncated_file_is_refused(self):
        tar = self.packed()
        os.truncate(tar, os.path.getsize(tar) // 2)
        self.refuse("ends in the middle", tar)

    def test_what_is_no_tar_is_refused(self):
        with open(self.path("in.tar"), "wb") as out:
            out.write(b"hello" * 1000)
        self.refuse("is no tar file", self.path("in.tar"))


@unittest.skipUnless(shutil.which("skopeo"), "skopeo is not installed")
class Skopeo(ToolCase):
    def test_inspects_a_release(self):
        out = self.release()
        done = skopeo("inspect", "--raw", f"oci:{out}:1.0.0")
        self.assertEqual(done.returncode, 0, done.stderr)
        index = json.loads(done.stdout)
        self.assertEqual(index["annotations"]["org.drover.model"], "mnist")

    def test_copies_a_release_that_then_still_is_one(self):
        out = self.release()
        done = skopeo("copy", "--all", f"oci:{out}:1.0.0", f"oci:{self.path('copy')}:1.0.0")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.ok("release", "import", self.archive(self.path("copy")), "--out", self.path("again"))
        self.assertEqual(self.digest(out), self.digest(self.path("again")))

    def test_reads_and_writes_the_single_file_form(self):
        out = self.release()
        done = skopeo("copy", "--all", f"oci:{out}:1.0.0", f"oci-archive:{self.path('one.tar')}:1.0.0")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.ok("release", "import", self.path("one.tar"), "--out", self.path("again"))
        self.assertEqual(self.digest(out), self.digest(self.path("again")))

    def archive(self, folder):
        path = self.path("copy.tar")
        subprocess.run(["tar", "-C", folder, "-cf", path, "."], check=True, timeout=60)
        return path

    def digest(self, folder):
        with open(os.path.join(folder, "index.json"), encoding="utf-8") as file:
            return json.load(file)["manifests"][0]["digest"]


if __name__ == "__main__":
    unittest.main(verbosity=2)
