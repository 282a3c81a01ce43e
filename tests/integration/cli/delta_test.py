"""drover delta make, apply, inspect on real files: no server needed."""

import json
import os
import struct
import unittest

from tool import ToolCase, sha256


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
        self.assertRegex(table, r"TENSOR .*HOW .*BYTES .*CODED .*SAVED")
        self.assertRegex(table, r"(?m)^dense\.weight .*16")
        self.assertIn(" instead of ", table.splitlines()[-1])

    def test_inspect_needs_no_base_and_names_both_ends(self):
        self.make()
        seen = self.ok("delta", "inspect", self.path("delta"), "--json").json()
        self.assertEqual((seen["base"], seen["target"]), (sha256(self.old), sha256(self.new)))
        self.assertEqual(sum(part["bytes"] for part in seen["parts"]), len(self.new))
        self.assertIn("64 x 64", self.ok("delta", "inspect", self.path("delta")).out)

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
