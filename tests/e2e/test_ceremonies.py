"""The commands of docs/operating/keys.md, each block as it stands there, from the first to the last, on one server."""

import os
import re
import stat
import subprocess

from scene import SOURCE, SceneTest, unittest

PAGE = os.path.join(SOURCE, "docs", "operating", "keys.md")


def blocks():
    with open(PAGE, encoding="utf-8") as file:
        return re.findall(r"^```sh\n(.*?)^```$", file.read(), re.MULTILINE | re.DOTALL)


class Ceremonies(SceneTest):
    @classmethod
    def prepare(cls, scene):
        scene.model = "mnist"
        scene.start_server()
        # A passphrase is asked for on a terminal, which a test has not. Nothing else is changed of what a person types.
        bin_folder = scene.path("bin")
        os.makedirs(bin_folder)
        wrapper = os.path.join(bin_folder, "drover")
        with open(wrapper, "w", encoding="utf-8") as file:
            file.write('#!/bin/sh\ncase "$1 $2" in "keys generate") set -- "$@" --no-passphrase;; esac\n'
                       f'exec {scene.tool.binary} "$@"\n')
        os.chmod(wrapper, os.stat(wrapper).st_mode | stat.S_IXUSR)
        cls.environment = {**scene.tool._environment, "PATH": bin_folder + os.pathsep + os.environ["PATH"]}

    def run_block(self, block):
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=self.scene.path("keys"),
                              env=self.environment, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=120)
        self.assertEqual(done.returncode, 0, f"{block}\n{done.stdout}{done.stderr}")
        return done.stdout

    def test_every_command_of_the_page_does_what_it_says(self):
        commands = "".join(blocks())
        self.assertGreater(commands.count("drover "), 40)
        for block in blocks():
            self.run_block(block)
            if "trust delegate" in block:
                self.publish("1", "alice", "bob")
        self.publish("2", "bob-2", "carol-2")
        # Two of three everywhere, each key in one role, nothing near its end: the doctor is content.
        self.assertEqual(self.scene.tool.json("trust", "doctor", "--keys", self.scene.path("keys"))["findings"], [])

    def publish(self, version, *signers):
        out = self.scene.build(version, self.scene.make_package(version))
        for signer in signers:
            self.scene.tool.run("release", "sign", out, "--key", self.scene.path("keys", signer + ".key"))
        self.scene.tool.run("release", "push", out)


if __name__ == "__main__":
    unittest.main(verbosity=2)
