"""Keys in tokens: the same commands as with key files, against SoftHSM 2."""

import os
import re
import shutil
import subprocess
import unittest

from server_test import ServerCase
from tool import BIN, ToolCase

MODULE = next((path for path in ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so",
                                 "/usr/local/lib/softhsm/libsofthsm2.so") if os.path.exists(path)), None)
PIN = "2468"


@unittest.skipUnless(MODULE and shutil.which("softhsm2-util"), "SoftHSM 2 is not installed")
class TokenCase:
    def make_tokens(self, *labels):
        os.makedirs(self.path("tokens"))
        config = self.path("softhsm2.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"directories.tokendir = {self.path('tokens')}\nobjectstore.backend = file\nlog.level = ERROR\n")
        os.environ["SOFTHSM2_CONF"] = config
        self.addCleanup(os.environ.pop, "SOFTHSM2_CONF", None)
        with open(self.path("pin"), "w", encoding="utf-8") as file:
            file.write(PIN + "\n")
        os.chmod(self.path("pin"), 0o600)
        for label in labels:
            self.softhsm("--init-token", "--free", "--label", label, "--so-pin", "13579", "--pin", PIN)

    def softhsm(self, *arguments):
        subprocess.run(["softhsm2-util", *arguments], check=True, capture_output=True, text=True)

    def uri(self, token, name=None, pin=True):
        return (f"pkcs11:token={token}" + (f";object={name}" if name else "") + f"?module-path={MODULE}" +
                (f"&pin-source=file:{self.path('pin')}" if pin else ""))

    def token_key(self, token, name):
        self.ok("keys", "generate", self.path(name), "--pkcs11", self.uri(token, name))
        return self.uri(token, name)

    def p256_key(self, token, name):
        """What people have whose token knows nothing else: made elsewhere, brought in."""
        pem, public = self.path(name + ".pem"), self.path(name + ".public.pem")
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", pem], check=True,
                       capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", pem, "-pubout", "-out", public], check=True, capture_output=True)
        self.softhsm("--import", pem, "--token", token, "--label", name, "--id", "77", "--pin", PIN)
        return self.uri(token, name)


class Keys(TokenCase, ToolCase):
    def setUp(self):
        super().setUp()
        self.make_tokens("people")

    def test_a_key_made_in_a_token_is_listed_and_shown_without_its_pin(self):
        made = self.ok("keys", "generate", self.path("alice"), "--pkcs11", self.uri("people", "alice"), "--json").json()
        self.assertEqual(made["kind"], "token")
        self.assertFalse(os.path.exists(self.path("alice")), "the private half is a file")
        listed = self.ok("keys", "list", self.uri("people", pin=False), "--json").json()["items"]
        self.assertEqual([key["keyid"] for key in listed], [made["keyid"]])
        self.assertEqual(self.ok("keys", "show", made["file"], "--json").json()["keyid"], made["keyid"])
        self.assertEqual(self.ok("keys", "show", self.path("alice.pub"), "--json").json()["keyid"], made["keyid"])
        self.assertNotIn(PIN, made["file"])

    def test_the_pin_may_stand_in_the_passphrase_file(self):
        self.ok("keys", "generate", "--pkcs11", self.uri("people", "bob", pin=False), "--passphrase-file", self.path("pin"))
        self.assertIn("bob", self.ok("keys", "list", self.uri("people", pin=False)).out)

    def test_without_a_pin_nobody_is_asked_in_a_script(self):
        self.refused(2, "--passphrase-file", "keys", "generate", "--pkcs11", self.uri("people", "bob", pin=False))

    def test_a_wrong_pin_a_wrong_token_and_a_wrong_name_are_told_apart(self):
        self.token_key("people", "alice")
        with open(self.path("wrong"), "w", encoding="utf-8") as file:
            file.write("9999\n")
        self.refused(4, "the PIN is wrong", "keys", "generate", "--pkcs11", self.uri("people", "x", pin=False), "--passphrase-file",
                     self.path("wrong"))
        self.refused(3, '"people"', "keys", "show", self.uri("poeple", "alice"))
        self.refused(3, "object=alice", "keys", "show", self.uri("people", "alcie"))
        self.refused(5, "never overwritten", "keys", "generate", "--pkcs11", self.uri("people", "alice"))
        self.refused(2, "not known here", "keys", "show", "pkcs11:tokn=people")

    def test_a_public_key_in_pem_is_a_key(self):
        self.p256_key("people", "carol")
        shown = self.ok("keys", "show", self.path("carol.public.pem"), "--json").json()
        self.assertEqual(shown["key"]["scheme"], "ecdsa-sha2-nistp256")
        in_token = self.ok("keys", "show", self.uri("people", "carol"), "--json").json()
        self.assertEqual(in_token["key"]["keyval"]["public"].split(), shown["key"]["keyval"]["public"].split())


class Documentation(TokenCase, ToolCase):
    def test_the_commands_of_the_documentation_work_as_they_stand(self):
        self.make_tokens()
        with open(os.path.join(os.environ["DROVER_SOURCE_DIR"], "docs/operating/keys-in-tokens.md"), encoding="utf-8") as file:
            blocks = re.findall(r"^```sh\n(.*?)^```", file.read(), re.MULTILINE | re.DOTALL)
        self.assertTrue(blocks)
        os.makedirs(self.path("work"))
        environment = {**os.environ, "PATH": BIN + ":" + os.environ["PATH"], "MODULE": MODULE, "DROVER_CONFIG": self.path("profile")}
        done = subprocess.run(["bash", "-euc", "\n".join(blocks)], cwd=self.path("work"), env=environment, text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("object=bob", done.stdout)


class Releases(TokenCase, ServerCase):
    def test_root_targets_and_release_keys_that_never_leave_their_tokens(self):
        self.make_tokens("office", "alices", "carols")
        root, targets = self.token_key("office", "root"), self.token_key("office", "targets")
        alice, carol = self.token_key("alices", "alice"), self.p256_key("carols", "carol")
        self.ok("trust", "init", "--root-key", root, "--targets-key", targets)
        state = self.drover("trust", "doctor", "--keys", self.uri("office", pin=False), "--json").json()
        self.assertEqual([(role["role"], role["i_can_sign_alone"]) for role in state["roles"]], [("root", True), ("targets", True)])
        self.ok("trust", "delegate", "mnist", "--release-key", self.path("alice.pub"), "--release-key", carol, "--threshold", 2,
                "--targets-key", targets)
        out = self.release()
        self.ok("release", "sign", out, "--key", alice)
        self.refused(1, "1 of 2 signatures", "release", "push", out)
        self.ok("release", "sign", out, "--key", carol)
        self.ok("release", "push", out)
        self.assertEqual(self.ok("release", "show", "mnist", "1.0.0", "--json").json()["state"], "published")
        self.refused(1, "may not sign", "release", "withdraw", "mnist", "1.0.0", "--key", root, "--yes")


del TokenCase, ToolCase, ServerCase  # no cases of their own

if __name__ == "__main__":
    unittest.main()
