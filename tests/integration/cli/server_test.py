"""The tool against the real server, over TLS, as people use it."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import time
import unittest

from packages_test import skopeo
from tool import BIN, ToolCase

DEADLINE = 20  # seconds for the server to listen


class Server:
    def __init__(self, folder):
        self.data = os.path.join(folder, "server")
        self.admin_token = os.path.join(folder, "admin.token")
        self.ca = os.path.join(self.data, "tls", "certificate.pem")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = open(os.path.join(folder, "server.log"), "a", encoding="utf-8")
        self.process = None

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def start(self):
        self.process = subprocess.Popen(
            [os.path.join(BIN, "drover-server"), "--data", self.data, "--listen", f"127.0.0.1:{self.port}", "--self-signed",
             "--admin-token-file", self.admin_token, "--threads", "1"], stdout=self.log, stderr=self.log)
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0 and os.path.exists(self.admin_token):
                    return
            time.sleep(0.02)
        raise AssertionError("the server does not listen: " + open(self.log.name, encoding="utf-8").read())

    def stop(self, kill=False):
        if self.process and self.process.poll() is None:
            self.process.kill() if kill else self.process.terminate()
            self.process.wait(timeout=DEADLINE)

    def database(self):
        return next(os.path.join(base, n) for base, _, names in os.walk(self.data) for n in names if n.endswith((".db", ".sqlite")))

    def close(self):
        self.stop(kill=True)
        self.log.close()


class ServerCase(ToolCase):
    def setUp(self):
        super().setUp()
        self.server = Server(self.folder)
        self.addCleanup(self.server.close)
        self.server.start()
        self.ok("login", self.server.url, "--token-file", self.server.admin_token, "--ca", self.server.ca)

    def trust(self, threshold=1, keys=("alice", "bob")):
        """Root, targets and the keys of release managers."""
        self.ok("trust", "init", "--root-key", self.key("root"), "--targets-key", self.key("targets"))
        pubs = []
        for name in keys:
            pubs += ["--release-key", self.key(name) + ".pub"]
        self.ok("trust", "delegate", "mnist", *pubs, "--threshold", threshold, "--targets-key", self.path("targets"))

    def publish(self, version="1.0.0"):
        out = self.release(version)
        self.ok("release", "sign", out, "--key", self.path("alice"))
        self.ok("release", "push", out)
        return out

    def member(self, role, name=None):
        """A profile with a token of that role."""
        name = name or role
        token = self.ok("token", "create", name, "--role", role, "--json").json()["token"]
        with open(self.path(name + ".token"), "w", encoding="utf-8") as file:
            file.write(token + "\n")
        self.ok("login", self.server.url, "--token-file", self.path(name + ".token"), "--ca", self.server.ca, profile=name)
        return name


class People(ServerCase):
    def test_login_keeps_a_private_profile_and_whoami_reads_it(self):
        self.assertEqual(os.stat(self.path("profile", "profile.json")).st_mode & 0o777, 0o600)
        self.assertEqual(self.ok("whoami", "--json").json()["role"], "admin")

    def test_a_profile_that_others_may_read_is_refused(self):
        os.chmod(self.path("profile", "profile.json"), 0o644)
        self.refused(4, "chmod 600", "whoami")

    def test_a_wrong_token_is_refused_and_not_kept(self):
        with open(self.path("t"), "w", encoding="utf-8") as file:
            file.write("drv_" + "A" * 43)
        self.refused(4, "log in again", "login", self.server.url, "--token-file", self.path("t"), "--ca", self.server.ca, profile="other")
        self.assertFalse(os.path.exists(self.path("other", "profile.json")))

    def test_an_unknown_authority_is_refused_with_the_way_out(self):
        self.refused(6, "--ca FILE", "login", self.server.url, "--token-file", self.server.admin_token, profile="other")

    def test_nobody_there_has_its_own_exit_status(self):
        self.server.stop()
        self.refused(6, "cannot reach", "device", "list")

    def test_a_token_without_the_right_is_told_so(self):
        viewer = self.member("viewer")
        self.refused(4, "drover whoami", "enrolment", "create", "x", profile=viewer)
        self.refused(4, "drover whoami", "group", "create", "x", "--query", "all", profile=viewer)
        self.assertEqual(self.ok("group", "list", "--json").json()["items"], [])

    def test_a_revoked_token_ends_at_once(self):
        viewer = self.member("viewer")
        row = next(t for t in self.ok("token", "list", "--json").json()["items"] if t["name"] == "viewer")
        self.ok("token", "revoke", row["id"])
        self.refused(4, "log in again", "whoami", profile=viewer)

    def test_the_audit_log_is_checked_here_and_a_change_is_found(self):
        self.ok("group", "create", "one", "--query", "all")
        self.ok("group", "create", "two", "--query", "all")
        first = self.ok("audit", "verify", "--json").json()
        self.assertGreaterEqual(first["entries"], 2)
        self.assertEqual(self.ok("audit", "verify", "--json").json()["seen_before"], first["entries"])
        self.server.stop()
        with sqlite3.connect(self.server.database()) as connection:
            connection.execute("UPDATE audit SET actor = 'somebody' WHERE seq = 1")
        connection.close()
        self.server.start()
        self.refused(1, "broken at entry 1", "audit", "verify")


class Fleet(ServerCase):
    def test_enrolment_tokens_are_made_listed_and_revoked(self):
        made = self.ok("enrolment", "create", "berlin", "--tag", "shop", "--uses", "3", "--json").json()
        self.assertIn("token", made)
        self.assertIn("berlin", self.ok("enrolment", "list").out)
        self.ok("enrolment", "revoke", made["id"])
        self.refused(3, "enrolment token", "enrolment", "revoke", made["id"])

    def test_devices_are_enrolled_by_key_tagged_and_sent_away(self):
        key = self.key("device")
        device = self.ok("device", "enroll", "--public-key", key + ".pub", "--name", "kiosk-07", "--kind", "kiosk-x64", "--json").json()
        self.refused(5, "known already", "device", "enroll", "--public-key", key + ".pub", "--name", "k", "--kind", "kiosk-x64")
        self.ok("device", "tag", device["id"], "--add", "lab", "--add", "berlin")
        self.assertIn("kiosk-07", self.ok("device", "list", "--query", "tag:lab").out)
        self.assertEqual(self.ok("device", "list", "--query", "tag:paris").out, "no devices\n")
        self.assertIn("kiosk-07", self.ok("device", "show", device["id"]).out)
        self.ok("device", "decommission", device["id"])
        self.assertEqual(self.ok("device", "show", device["id"], "--json").json()["state"], "decommissioned")

    def test_bad_ids_and_keys_are_refused_before_anything_is_sent(self):
        self.server.stop()
        self.refused(2, "no device id", "device", "show", "kiosk-07")
        self.refused(2, "public key", "device", "enroll", "--public-key", self.server.admin_token, "--name", "k", "--kind", "k")
        self.refused(2, "no kind", "device", "enroll", "--public-key", "ab" * 32, "--name", "k", "--kind", "K K")
        self.refused(2, "either", "group", "create", "g")
        self.refused(2, "no duration", "enrolment", "create", "x", "--expires", "soon")

    def test_groups_are_previewed_made_changed_and_deleted(self):
        for i in range(3):
            self.ok("device", "enroll", "--public-key", self.key(f"d{i}") + ".pub", "--name", f"shop-{i}", "--kind", "kiosk-x64")
        self.assertIn("3 devices", self.ok("group", "preview", 'name like "shop-%"').out)
        self.ok("group", "create", "shops", "--query", 'name like "shop-%"')
        self.refused(5, "already", "group", "create", "shops", "--query", "all")
        self.ok("group", "update", "shops", "--query", 'kind = "kiosk-x64"')
        self.assertIn("kiosk-x64", self.ok("group", "show", "shops").out)
        self.ok("group", "delete", "shops")
        self.refused(3, "no group", "group", "show", "shops")

    def test_a_query_that_does_not_parse_says_where(self):
        outcome = self.drover("group", "preview", "kind = ")
        self.assertNotEqual(outcome.code, 0)
        self.assertRegex(outcome.err, r"column|character|position|byte|end")


class Releases(ServerCase):
    def test_from_build_to_list_and_show(self):
        self.trust()
        self.publish()
        self.assertIn("gate-arm64 (int8), kiosk-x64 (fp32)", self.ok("release", "list").out)
        shown = self.ok("release", "show", "mnist", "1.0.0", "--json").json()
        self.assertEqual(shown["state"], "published")
        self.assertEqual({v["architecture"] for v in shown["variants"]}, {"amd64", "arm64"})

    def test_a_threshold_that_is_not_met_is_said_clearly(self):
        self.trust(threshold=2)
        out = self.release()
        signed = self.ok("release", "sign", out, "--key", self.path("alice"))
        self.assertIn("1 of 2 signatures; 1 more needed", signed.out)
        self.refused(1, "1 of 2 signatures", "release", "push", out)
        self.assertFalse(self.ok("release", "sign", out, "--key", self.path("alice"), "--json").json()["complete"])
        self.assertTrue(self.ok("release", "sign", out, "--key", self.path("bob"), "--json").json()["complete"])
        self.ok("release", "push", out)

    def test_an_unsigned_release_is_not_pushed(self):
        self.trust()
        self.refused(1, "is not signed yet; run: drover release sign", "release", "push", self.release())

    def test_a_key_of_nobody_is_refused_and_says_whose_it_takes(self):
        self.trust()
        self.refused(1, "may not sign releases of mnist; it takes 1 of", "release", "sign", self.release(), "--key", self.key("mallory"))

    def test_a_package_that_was_tampered_with_is_not_signed_and_not_pushed(self):
        self.trust()
        out = self.release()
        self.ok("release", "sign", out, "--key", self.path("alice"))
        blobs = os.path.join(out, "blobs", "sha256")
        name = max(os.listdir(blobs), key=lambda n: os.path.getsize(os.path.join(blobs, n)))
        os.chmod(os.path.join(blobs, name), 0o644)
        with open(os.path.join(blobs, name), "r+b") as file:
            file.write(b"X")
        self.refused(1, name[:12], "release", "push", out)
        self.refused(1, name[:12], "release", "sign", out, "--key", self.path("alice"))

    def test_a_signature_that_was_tampered_with_does_not_count(self):
        self.trust()
        out = self.release()
        self.ok("release", "sign", out, "--key", self.path("alice"))
        file = os.path.join(out, "drover", "mnist.json")
        with open(file, encoding="utf-8") as text:
            document = json.load(text)
        sig = document["signatures"][0]["sig"]
        document["signatures"][0]["sig"] = ("0" if sig[0] != "0" else "1") + sig[1:]
        with open(file, "w", encoding="utf-8") as text:
            json.dump(document, text)
        self.refused(1, "0 of 1 signature", "release", "push", out)

    def test_nobody_signs_what_somebody_else_slipped_in(self):
        self.trust(threshold=2)
        out = self.release()
        self.ok("release", "sign", out, "--key", self.path("alice"))
        file = os.path.join(out, "drover", "mnist.json")
        with open(file, encoding="utf-8") as text:
            document = json.load(text)
        targets = document["signed"]["targets"]
        targets["mnist/6.6.6"] = targets["mnist/1.0.0"]
        with open(file, "w", encoding="utf-8") as text:
            json.dump(document, text)
        self.refused(1, "something else", "release", "sign", out, "--key", self.path("bob"))

    def test_pushing_again_sends_nothing(self):
        self.trust()
        out = self.publish()
        again = self.ok("release", "push", out, "--json").json()
        self.assertEqual((again["bytes_sent"], again["published"]), (0, False))

    def test_another_content_under_a_published_version_is_refused(self):
        self.trust()
        self.publish()
        out = self.path("other")
        self.ok("release", "build", "mnist", "1.0.0", "--variant", f"kiosk-x64={self.model('other-files', b'other')}", "--out", out)
        self.refused(5, "choose a new version", "release", "sign", out, "--key", self.path("alice"))

    def test_metadata_that_was_overtaken_is_signed_anew(self):
        self.trust()
        slow = self.release("1.0.0")
        self.ok("release", "sign", slow, "--key", self.path("alice"))
        self.publish("2.0.0")
        self.refused(5, "has moved on", "release", "push", slow)
        self.ok("release", "sign", slow, "--key", self.path("bob"))
        self.ok("release", "push", slow)
        self.assertEqual({r["version"] for r in self.ok("release", "list", "mnist", "--json").json()["items"]}, {"1.0.0", "2.0.0"})

    def test_a_withdrawn_release_is_gone_and_takes_a_signature(self):
        self.trust()
        self.publish()
        self.refused(1, "may not sign", "release", "withdraw", "mnist", "1.0.0", "--key", self.path("targets"))
        self.ok("release", "withdraw", "mnist", "1.0.0", "--key", self.path("alice"))
        self.assertEqual(self.ok("release", "show", "mnist", "1.0.0", "--json").json()["state"], "withdrawn")
        self.refused(3, "not published", "release", "withdraw", "mnist", "1.0.0", "--key", self.path("alice"))

    def test_a_release_manager_may_push_but_an_operator_may_not(self):
        self.trust()
        out = self.release()
        self.ok("release", "sign", out, "--key", self.path("alice"), profile=self.member("operator"))
        self.refused(4, "drover whoami", "release", "push", out, profile="operator")
        self.ok("release", "push", out, profile=self.member("release_manager"))

    def test_a_release_counter_never_goes_down(self):
        self.trust()
        out = self.release("1.0.0")
        self.ok("release", "sign", out, "--key", self.path("alice"), "--release-counter", "5")
        self.ok("release", "push", out)
        later = self.release("1.1.0")
        self.refused(1, "below 5", "release", "sign", later, "--key", self.path("alice"), "--release-counter", "4")
        self.ok("release", "sign", later, "--key", self.path("alice"))
        self.ok("release", "push", later)
        self.assertEqual(self.ok("release", "show", "mnist", "1.1.0", "--json").json()["release_counter"], 5)

    def test_a_server_with_another_root_is_not_believed(self):
        self.trust()
        self.publish()
        self.server.stop()
        shutil.rmtree(self.server.data)
        os.remove(self.server.admin_token)
        self.server.start()
        self.ok("login", self.server.url, "--token-file", self.server.admin_token, "--ca", self.server.ca, profile="thief")
        self.ok("trust", "init", "--root-key", self.key("r2"), "--targets-key", self.key("t2"), profile="thief")
        self.ok("login", self.server.url, "--token-file", self.server.admin_token, "--ca", self.server.ca)
        outcome = self.drover("release", "sign", self.path("mnist-1.0.0"), "--key", self.path("alice"))
        self.assertEqual(outcome.code, 1, outcome)


class AirGap(ServerCase):
    def test_signing_without_the_server(self):
        self.trust(threshold=2)
        out = self.release()
        self.ok("trust", "fetch", self.path("stick"), "--model", "mnist")
        targets = self.path("stick", "targets.json")
        self.server.stop()
        for name in ("alice", "bob"):
            self.ok("release", "sign", out, "--key", self.path(name), "--base", "none", "--targets", targets)
        self.refused(1, "may not sign", "release", "sign", out, "--key", self.path("root"), "--base", "none", "--targets", targets)
        self.server.start()
        self.ok("release", "push", out)

    def test_signing_the_next_release_without_the_server_and_without_a_profile(self):
        self.trust()
        self.publish("1.0.0")
        out = self.release("2.0.0")
        self.ok("trust", "fetch", self.path("stick"), "--model", "mnist")
        signing = ("release", "sign", out, "--key", self.path("alice"), "--targets", self.path("stick", "targets.json"))
        self.refused(2, "--base", *signing, profile="none")
        self.ok(*signing, "--base", self.path("stick", "mnist.json"), profile="none")
        self.ok("release", "push", out)
        self.assertEqual({r["state"] for r in self.ok("release", "list", "--json").json()["items"]}, {"published"})

    def test_two_copies_signed_apart_are_merged(self):
        self.trust(threshold=2)
        out = self.release()
        copy = self.path("copy")
        shutil.copytree(out, copy)
        self.ok("release", "sign", out, "--key", self.path("alice"), "--expires-days", "30")
        shutil.copy(os.path.join(out, "drover", "mnist.json"), os.path.join(self.folder, "alice.json"))
        os.makedirs(os.path.join(copy, "drover"))
        shutil.copy(os.path.join(out, "drover", "mnist.json"), os.path.join(copy, "drover", "mnist.json"))
        self.ok("release", "sign", copy, "--key", self.path("bob"))
        merged = self.ok("release", "sign", out, "--merge", os.path.join(copy, "drover", "mnist.json"), "--json").json()
        self.assertTrue(merged["complete"])

    def test_what_is_exported_is_imported_elsewhere(self):
        self.trust()
        self.publish()
        self.ok("release", "export", "mnist", "1.0.0", "--out", self.path("out.tar"))
        self.ok("release", "export", "mnist", "1.0.0", "--out", self.path("out"))
        again = self.ok("release", "import", self.path("out.tar"), "--json").json()
        self.assertFalse(again["published"])
        self.ok("release", "import", self.path("out"))
        self.refused(5, "exists already", "release", "export", "mnist", "1.0.0", "--out", self.path("out.tar"))
        self.refused(3, "not published", "release", "export", "mnist", "9", "--out", self.path("nine.tar"))

    @unittest.skipUnless(shutil.which("skopeo"), "skopeo is not installed")
    def test_skopeo_inspects_and_copies_what_was_exported(self):
        self.trust()
        self.publish()
        signed = self.ok("release", "show", "mnist", "1.0.0", "--json").json()["index"]
        for form, out in (("oci-archive", self.path("out.tar")), ("oci", self.path("out"))):
            self.ok("release", "export", "mnist", "1.0.0", "--out", out)
            inspected = skopeo("inspect", "--raw", f"{form}:{out}:1.0.0")
            self.assertEqual(inspected.returncode, 0, inspected.stderr)
            self.assertEqual(json.loads(inspected.stdout)["annotations"]["org.drover.version"], "1.0.0")
            copied = skopeo("copy", "--all", f"{form}:{out}:1.0.0", f"oci:{self.path(form)}:1.0.0")
            self.assertEqual(copied.returncode, 0, copied.stderr)
            with open(self.path(form, "index.json"), encoding="utf-8") as file:
                self.assertEqual(json.load(file)["manifests"][0]["digest"], signed)


class Rollouts(ServerCase):
    def setUp(self):
        super().setUp()
        self.trust()
        self.publish()
        for i in range(4):
            self.ok("device", "enroll", "--public-key", self.key(f"d{i}") + ".pub", "--name", f"shop-{i}", "--kind", "kiosk-x64")
        self.ok("group", "create", "shops", "--query", "all")

    def create(self, *stages, name="spring"):
        options = [part for stage in stages for part in ("--stage", stage)]
        return self.ok("rollout", "create", "--name", name, "--model", "mnist", "--release", "1.0.0", "--group", "shops", *options, "--json").json()

    def test_status_pause_resume_halt_and_abort_by_name(self):
        made = self.create("25%,soak=60s", "100%")
        self.assertEqual([s["members"] for s in made["stages"]][0], 1)
        self.assertIn("stage 1 of 2", self.ok("rollout", "pause", "spring").out)
        self.assertIn("rollout resume", self.ok("rollout", "status", "spring").out)
        self.ok("rollout", "resume", made["id"])
        self.ok("rollout", "halt", "spring")
        halted = self.drover("rollout", "status", "spring")
        self.assertEqual(halted.code, 7, halted)
        self.refused(5, "halted", "rollout", "resume", "spring")
        self.create("100%", name="summer")
        self.ok("rollout", "abort", "summer")
        self.assertEqual(self.drover("rollout", "status", "summer").code, 9)
        self.assertIn("aborted", self.ok("rollout", "list").out)

    def test_watch_ends_with_the_state_and_lines_for_logs(self):
        self.create("100%")
        self.ok("rollout", "halt", "spring")
        watched = self.drover("rollout", "status", "spring", "--watch")
        self.assertEqual(watched.code, 7, watched)
        self.assertRegex(watched.out, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  halted, stage 1 of 1")
        self.assertEqual(self.drover("rollout", "status", "spring", "--until", "halted").code, 0)

    def test_watch_hears_of_a_change_without_asking_again_and_again(self):
        self.create("100%")
        watching = subprocess.Popen([os.path.join(BIN, "drover"), "rollout", "status", "spring", "--watch"], text=True, stdout=subprocess.PIPE,
                                    env={**os.environ, "DROVER_CONFIG": self.path("profile")})
        self.addCleanup(watching.kill)
        self.assertIn("running", watching.stdout.readline())
        self.ok("rollout", "halt", "spring")
        out, _ = watching.communicate(timeout=15)
        self.assertIn("halted", out)
        self.assertEqual(watching.returncode, 7)

    def test_a_timeout_has_its_own_exit_status(self):
        self.create("100%")
        self.assertEqual(self.drover("rollout", "status", "spring", "--until", "completed", "--timeout", "1s").code, 10)

    def test_a_stage_that_has_moved_on_is_not_promoted_twice(self):
        made = self.create("25%", "100%")
        self.refused(5, "", "rollout", "promote", made["id"], "--from-stage", "2")

    def test_a_rollout_to_an_empty_group_or_of_nothing_is_refused(self):
        self.ok("group", "create", "nobody", "--query", 'name = "nobody"')
        common = ("rollout", "create", "--name", "x", "--model", "mnist", "--stage", "100%")
        self.refused(2, "empty", *common, "--release", "1.0.0", "--group", "nobody")
        self.refused(3, "no group", *common, "--release", "1.0.0", "--group", "ghosts")
        self.refused(3, "no release", *common, "--release", "9", "--group", "shops")

    def test_a_bad_spec_is_refused_before_anything_is_sent(self):
        self.server.stop()
        common = ("rollout", "create", "--name", "x", "--model", "mnist", "--release", "1.0.0", "--group", "shops")
        self.refused(2, "at least one --stage", *common)
        self.refused(2, "must grow", *common, "--stage", "100%", "--stage", "25%")
        self.refused(2, "no setting of a stage", *common, "--stage", "25%,saok=5s")
        with open(self.path("spec.json"), "w", encoding="utf-8") as file:
            file.write('{"name":"x","model":"mnist","release":"1","group":"shops","stages":[{"percent":100,"failure_treshold_percent":1}]}')
        self.refused(2, "failure_treshold_percent", "rollout", "create", "--file", self.path("spec.json"))

    def test_a_spec_from_a_file_is_the_same_rollout(self):
        spec = {"name": "filed", "model": "mnist", "release": "1.0.0", "group": "shops", "stages": [{"percent": 50}, {"percent": 100}]}
        with open(self.path("spec.json"), "w", encoding="utf-8") as file:
            json.dump(spec, file)
        made = self.ok("rollout", "create", "--file", self.path("spec.json"), "--json").json()
        self.assertEqual([s["members"] for s in made["stages"]][0], 2)
        self.assertEqual(self.ok("rollout", "devices", made["id"]).out, "it has been offered to no device yet\n")


class Trust(ServerCase):
    def test_init_happens_once(self):
        self.trust()
        self.refused(5, "initialised already", "trust", "init", "--root-key", self.path("root"), "--targets-key", self.path("targets"))
        self.assertIn("targets", self.ok("trust", "show").out)

    def test_an_init_that_broke_off_is_finished(self):
        first = ("trust", "init", "--root-key", self.key("root"), "--targets-key", self.key("targets"))
        self.ok(*first)
        self.server.stop()
        with sqlite3.connect(self.server.database()) as connection:
            connection.execute("DELETE FROM metadata WHERE role <> 'root'")
        connection.close()
        self.server.start()
        self.refused(5, "not made from this profile", *first, profile=self.member("admin"))
        self.ok(*first)
        self.assertTrue(self.ok("trust", "show", "--json").json()["initialised"])

    def test_a_threshold_above_the_keys_is_refused(self):
        self.refused(2, "needs 2 keys", "trust", "init", "--root-key", self.key("root"), "--targets-key", self.key("targets"), "--threshold", "2")

    def test_init_needs_enough_private_keys(self):
        roots = ["--root-key", self.key("a"), "--root-key", self.key("b") + ".pub", "--targets-key", self.key("c"), "--targets-key", self.key("d")]
        self.refused(1, "1 of 2 signatures", "trust", "init", *roots, "--threshold", "2")

    def test_targets_signed_by_several_people_one_after_the_other(self):
        self.ok("trust", "init", "--root-key", self.key("r1"), "--root-key", self.key("r2"), "--targets-key", self.key("t1"), "--targets-key",
                self.key("t2"), "--threshold", "2")
        delegate = ("trust", "delegate", "mnist", "--release-key", self.key("alice") + ".pub", "--targets-key", self.path("t1"))
        self.refused(1, "give --out FILE", *delegate)
        self.ok(*delegate, "--out", self.path("targets.json"))
        self.refused(1, "1 of 2", "trust", "publish", self.path("targets.json"))
        self.ok("trust", "sign", self.path("targets.json"), "--key", self.path("t2"))
        self.ok("trust", "publish", self.path("targets.json"))
        self.ok("release", "sign", self.release(), "--key", self.path("alice"))

    def test_root_and_roles_are_renewed(self):
        self.trust()
        self.publish()
        for role, key in (("root", "root"), ("targets", "targets"), ("mnist", "alice")):
            self.ok("trust", "renew", role, "--key", self.path(key))
        versions = {r["role"]: r["version"] for r in self.ok("trust", "show", "--json").json()["roles"]}
        self.assertEqual((versions["root"], versions["targets"], versions["mnist"]), (2, 3, 2))

    def test_keys_with_a_passphrase_need_it(self):
        with open(self.path("pass"), "w", encoding="utf-8") as file:
            file.write("correct horse battery\n")
        with open(self.path("wrong"), "w", encoding="utf-8") as file:
            file.write("wrong horse battery\n")
        self.ok("keys", "generate", self.path("root"), "--passphrase-file", self.path("pass"))
        common = ("trust", "init", "--root-key", self.path("root"), "--targets-key", self.key("targets"))
        self.refused(2, "--passphrase-file", *common)
        self.refused(4, "passphrase", *common, "--passphrase-file", self.path("wrong"))
        self.ok(*common, "--passphrase-file", self.path("pass"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
