"""drover delta make, apply, inspect on real files: no server needed."""

import fcntl
import json
import os
import random
import struct
import subprocess
import unittest

from tool import BIN, ToolCase, sha256


def tensors(seed, step=0.0):
    """A safetensors file with one matrix of numbers that look trained, and a fixed one."""
    numbers, state = [], seed
    for i in range(64 * 64):
        state = (state * 1103515245 + 12345) % (1 << 31)
        numbers.append((state / (1 << 31) - 0.5) * 0.1 + step * ((i * 7919) % 101 - 50))
    plain = struct.pack("<4096f", *numbers)
    frozen = struct.pack("<4096f", *[((i * 2654435761) % 65537) / 65537 for i in range(4096)])
    head = json.dumps({
        "dense.weight": {"dtype": "F32", "shape": [64, 64], "data_offsets": [0, len(plain)]},
        "embedding.weight": {"dtype": "F32", "shape": [64, 64], "data_offsets": [len(plain), len(plain) + len(frozen)]},
    }).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + plain + frozen


class Delta(ToolCase):
    def setUp(self):
        super().setUp()
        self.old, self.new = tensors(1), tensors(1, step=1e-6)
        for name, content in (("old", self.old), ("new", self.new), ("other", tensors(2))):
            with open(self.path(name), "wb") as file:
                file.write(content)

    def make(self, *options):
        return self.ok("delta", "make", self.path("old"), self.path("new"), "--out", self.path("delta"), *options)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def test_make_and_apply_give_the_target_to_the_bit(self):
        made = self.make("--json").json()
        self.assertEqual(made["bytes"], len(self.new))
        self.assertEqual(made["coded"], os.path.getsize(self.path("delta")))
        self.assertLess(made["coded"], len(self.new) // 2)
        applied = self.ok("delta", "apply", self.path("old"), self.path("delta"), "--out", self.path("made"), "--json").json()
        self.assertEqual(applied["digest"], sha256(self.new))
        self.assertEqual(self.read("made"), self.new)

    def test_the_table_says_tensor_by_tensor_what_was_saved(self):
        table = self.make("--parts").out
        self.assertRegex(table, r"TENSOR .*HOW .*SIZE .*SENT .*SAVED")
        self.assertRegex(table, r"(?m)^dense\.weight +fp32 +64x64 +difference .* %$")
        self.assertRegex(table, r"(?m)^embedding\.weight +fp32 +64x64 +copied .* %$")
        self.assertRegex(table.splitlines()[-1], r" instead of .* saved$")
        self.assertNotIn("TENSOR", self.make().out)

    def test_inspect_needs_no_base_and_names_both_ends(self):
        self.make()
        seen = self.ok("delta", "inspect", self.path("delta"), "--json").json()
        self.assertEqual((seen["base"], seen["target"]), (sha256(self.old), sha256(self.new)))
        self.assertEqual(sum(part["bytes"] for part in seen["parts"]), len(self.new))
        self.assertIn("64x64", self.ok("delta", "inspect", self.path("delta")).out)

    def test_inspect_names_the_tensors_from_either_file_and_says_which_it_is(self):
        made = self.make("--json").json()["tensors"]
        self.assertEqual([one["name"] for one in made], ["dense.weight", "embedding.weight", None])
        for name, end in (("new", "target"), ("old", "base")):
            seen = self.ok("delta", "inspect", self.path("delta"), "--model", self.path(name), "--json").json()
            self.assertEqual(seen["names_from"], end)
            self.assertEqual(seen["tensors"], made, name)
            self.assertEqual(seen["coded"], os.path.getsize(self.path("delta")))
            shown = self.ok("delta", "inspect", self.path("delta"), "--model", self.path(name))
            self.assertRegex(shown.out, r"(?m)^dense\.weight +fp32 +64x64 +difference ")
            self.assertRegex(shown.err, rf"(?m)^{end} .*{self.path(name)}$")
        unnamed = self.ok("delta", "inspect", self.path("delta"))
        self.assertRegex(unnamed.out, r"(?m)^@\d+ +fp32 +64x64 ")
        self.assertIn("--model FILE", unnamed.err)

    def test_a_model_that_is_neither_end_is_refused_with_all_three_digests(self):
        self.make()
        outcome = self.refused(2, "neither this delta's target", "delta", "inspect", self.path("delta"), "--model", self.path("other"))
        for digest in (sha256(self.old), sha256(self.new), sha256(tensors(2))):
            self.assertIn(digest, outcome.err)
        self.refused(3, self.path("none"), "delta", "inspect", self.path("delta"), "--model", self.path("none"))
        self.refused(1, "not a regular file", "delta", "inspect", self.path("delta"), "--model", self.folder)

    def test_a_model_without_a_description_is_said_to_have_no_names(self):
        for name, content in (("old", self.old[200:]), ("new", self.new[200:])):
            with open(self.path(name), "wb") as file:
                file.write(content)
        self.make()
        shown = self.ok("delta", "inspect", self.path("delta"), "--model", self.path("new"))
        self.assertIn("describes none", shown.err)
        self.assertIn("total", shown.out)

    def test_a_wrong_base_is_named_with_the_right_one_before_anything_is_written(self):
        self.make()
        outcome = self.refused(2, "the wrong base", "delta", "apply", self.path("other"), self.path("delta"), "--out",
                               self.path("made"))
        self.assertIn(sha256(self.old), outcome.err)
        self.assertIn(sha256(tensors(2)), outcome.err)
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith("made")], [])
        self.refused(2, "there is none", "delta", "apply", "-", self.path("delta"), "--out", self.path("made"))

    def test_a_damaged_delta_fails_and_leaves_what_was_there(self):
        self.make()
        damaged = bytearray(self.read("delta"))
        damaged[len(damaged) // 2] ^= 1
        for content in (bytes(damaged), self.read("delta")[:-5], b"no delta"):
            with open(self.path("damaged"), "wb") as file:
                file.write(content)
            with open(self.path("made"), "wb") as file:
                file.write(b"before")
            outcome = self.drover("delta", "apply", self.path("old"), self.path("damaged"), "--out", self.path("made"))
            self.assertEqual((outcome.code, outcome.out, self.read("made")), (1, "", b"before"), outcome)
            self.assertFalse(os.path.exists(self.path("made.part")))

    def shrinking(self, change):
        """`delta apply` whose base is changed after it was checked and before it was read to the end.

        The delta comes through a pipe of one page. When 16 pages have gone in, the tool has read at least 15: it is past the header
        and the check, which need one; and it cannot have decoded what is not yet in the pipe."""
        head = json.dumps({f"layer{i}.weight": {"dtype": "F32", "shape": [128, 256], "data_offsets": [i << 17, (i + 1) << 17]}
                           for i in range(8)}).encode()
        noise = random.Random(4)
        body = [b"".join(struct.pack("<I", 0x3d000000 + noise.getrandbits(20)) for _ in range(1 << 18)) for _ in range(2)]
        for name, content in zip(("old", "new"), body):
            with open(self.path(name), "wb") as file:
                file.write(struct.pack("<Q", len(head)) + head + content)
        self.make()
        delta = self.read("delta")
        page = 4096
        self.assertGreater(len(delta), 64 * page)
        with open(self.path("made"), "wb") as file:
            file.write(b"before")
        os.mkfifo(self.path("pipe"))
        process = subprocess.Popen([os.path.join(BIN, "drover"), "delta", "apply", self.path("old"), self.path("pipe"), "--out",
                                    self.path("made")], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            with open(self.path("pipe"), "wb", buffering=0) as pipe:
                self.assertEqual(fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, page), page)
                self.assertEqual(pipe.write(delta[:16 * page]), 16 * page)
                change(self.path("old"))
                try:
                    pipe.write(delta[16 * page:])
                except BrokenPipeError:
                    pass  # it need not read what it cannot use
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
        self.assertEqual((process.returncode, out), (1, ""), err)
        self.assertEqual(self.read("made"), b"before")
        self.assertFalse(os.path.exists(self.path("made.part")))
        return err

    def test_a_base_that_shrinks_while_it_is_read_is_an_error_and_no_crash(self):
        for size in (0, 1 << 17):
            err = self.shrinking(lambda path, size=size: os.truncate(path, size))
            self.assertIn(f"{self.path('old')} became shorter while it was read", err)
            os.remove(self.path("pipe"))

    def test_a_base_that_changes_while_it_is_read_is_an_error_that_says_so(self):
        def change(path):
            with open(path, "r+b") as file:
                file.seek(-(1 << 17), os.SEEK_END)
                file.write(bytes(1 << 17))
        self.assertIn(f"{self.path('old')} was changed while it was read", self.shrinking(change))

    def test_a_delta_may_come_out_of_a_pipe(self):
        self.make()
        done = subprocess.run(["bash", "-c", 'exec "$1" delta apply "$2" <(cat "$3") --out "$4"', "-", os.path.join(BIN, "drover"),
                               self.path("old"), self.path("delta"), self.path("made")], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.read("made"), self.new)

    def test_without_a_base_it_is_a_compressed_form_of_the_target(self):
        self.ok("delta", "make", "-", self.path("new"), "--out", self.path("alone"))
        self.assertIsNone(self.ok("delta", "inspect", self.path("alone"), "--json").json()["base"])
        self.ok("delta", "apply", "-", self.path("alone"), "--out", self.path("made"))
        self.assertEqual(self.read("made"), self.new)
        self.refused(2, "made for no base", "delta", "apply", self.path("old"), self.path("alone"), "--out", self.path("made"))

    def test_files_that_are_not_there_are_named(self):
        for arguments in (("make", "none", "new", "--out", "d"), ("make", "old", "none", "--out", "d"),
                          ("apply", "old", "none", "--out", "d")):
            places = [self.path(one) if one in ("none", "new", "old", "d") else one for one in arguments]
            outcome = self.drover("delta", *places)
            self.assertEqual(outcome.code, 3, outcome)
            self.assertIn(self.path("none"), outcome.err)


if __name__ == "__main__":
    unittest.main(verbosity=2)
