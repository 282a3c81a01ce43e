"""Stories of a stolen server: the attacker has its data folder, and with it every online key (snapshot, timestamp, director,
sessions, TLS), answers every request, and still cannot make a device run what release managers have not signed for it."""

import copy
import json
import os

from story import KIND, PATIENCE, Key, Reply, Story, unittest, wait_until

OTHER_KIND = "gate-x64"


class StolenServer(Story):
    @classmethod
    def prepare(cls, scene):
        super().prepare(scene)
        scene.tool.run("trust", "delegate", "other", "--release-key", scene.key("bob") + ".pub", "--targets-key",
                       scene.key("targets"))
        cls.publish_other()
        scene.join("dut")
        cls.publish("old")
        cls.publish("withdrawn", "--release-counter", 2)
        cls.publish_wide()
        cls.before = cls.metadata()  # while the release that is withdrawn next was listed
        scene.tool.run("release", "withdraw", scene.model, "withdrawn", "--key", scene.key("alice"), "--yes")
        cls.deliver("good", "--release-counter", 2)

    @classmethod
    def publish_other(cls):
        scene = cls.scene
        out = scene.path("releases", "other-1")
        scene.tool.run("release", "build", "other", "1", "--variant", f"{KIND}={scene.make_package('other-1')}", "--out", out)
        scene.tool.run("release", "sign", out, "--key", scene.key("bob"))
        scene.tool.run("release", "push", out)

    @classmethod
    def publish_wide(cls):
        """A release for two kinds of device."""
        scene = cls.scene
        out = scene.path("releases", "wide")
        scene.tool.run("release", "build", scene.model, "wide", "--variant", f"{KIND}={scene.make_package('wide-kiosk')}",
                       "--variant", f"{OTHER_KIND}={scene.make_package('wide-gate')}", "--out", out)
        scene.tool.run("release", "sign", out, "--key", scene.key("alice"))
        scene.tool.run("release", "push", out)
        out = scene.path("releases", "gate")
        scene.tool.run("release", "build", scene.model, "gate", "--variant", f"{OTHER_KIND}={scene.make_package('gate')}",
                       "--out", out)
        scene.tool.run("release", "sign", out, "--key", scene.key("alice"))
        scene.tool.run("release", "push", out)

    def evil(self):
        """A whole release that nobody signed: (path and target, blob -> bytes)."""
        out = self.scene.path("releases", "evil")
        if not os.path.exists(out):
            self.scene.build("evil", self.scene.make_package("evil"))
        with open(os.path.join(out, "index.json"), encoding="utf-8") as file:
            entry = json.load(file)["manifests"][0]
        blobs = {}
        folder = os.path.join(out, "blobs", "sha256")
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), "rb") as file:
                blobs["/api/v1/blobs/sha256:" + name] = file.read()
        index = json.loads(blobs["/api/v1/blobs/" + entry["digest"]])
        path, target = f"{self.scene.model}/evil", {
            "length": entry["size"], "hashes": {"sha256": entry["digest"].removeprefix("sha256:")},
            "custom": {"kind": KIND, "variant": index["manifests"][0]["digest"], "release_counter": 9,
                       "deployment": "forged-evil"}}
        return (path, target), blobs

    def test_a_release_that_nobody_signed_is_not_run(self):
        evil, blobs = self.evil()
        self.hostile.rule = lambda request: Reply(200, blobs[request.path]) if request.path in blobs else None
        self.assign(evil)
        self.told("target_not_listed")
        self.unharmed()
        self.recovers()

    def test_not_even_with_metadata_that_every_online_key_has_signed(self):
        (path, target), blobs = self.evil()
        files = self.metadata()
        name = next(name for name in files if name.endswith(f".{self.scene.model}.json"))
        signed = json.loads(files[name])["signed"]
        signed["version"] += 1
        signed["targets"][path] = {"length": target["length"], "hashes": target["hashes"],
                                   "custom": {"release_counter": 9, "kinds": [KIND]}}
        envelopes = [json.loads(key.sign(signed)) for key in (self.thief.director, self.thief.snapshot, self.thief.timestamp)]
        forged = json.dumps({"signed": signed, "signatures": [one["signatures"][0] for one in envelopes]}).encode()
        published = self.thief.publish(files, {f"{signed['version']}.{self.scene.model}.json": forged})
        self.serve(published)
        metadata = self.hostile.rule
        self.hostile.rule = lambda request: Reply(200, blobs[request.path]) if request.path in blobs else metadata(request)
        self.assign((path, target))
        self.told("threshold_not_met")
        self.unharmed()
        self.outrun(published)
        self.recovers()

    def test_a_withdrawn_release_is_not_run(self):
        self.assign(self.target("withdrawn"))
        self.told("target_not_listed")
        self.unharmed()
        self.recovers()

    def test_nor_is_it_with_the_metadata_of_the_day_on_which_it_was_listed(self):
        files, old = self.metadata(), self.before
        name = f"{self.scene.model}.json"
        now = next(file for file in files if file.endswith("." + name))
        then = next(file for file in old if file.endswith("." + name))
        self.assertLess(int(then.split(".")[0]), int(now.split(".")[0]))
        published = self.thief.publish(files, {then: old[then]})
        self.serve(published)
        self.assign(self.target("withdrawn"))
        self.told("metadata_rollback")
        self.unharmed()
        self.outrun(published)
        self.recovers()

    def test_the_bytes_of_another_model_are_not_run_under_this_models_name(self):
        _, foreign = self.target("1", model="other")
        path, _ = self.target("good")
        self.assign((path, {**foreign, "custom": {**foreign["custom"], "deployment": "forged-foreign"}}))
        self.told("target_mismatch")
        self.unharmed()
        self.recovers()

    def test_a_variant_for_another_kind_of_device_is_not_run(self):
        path, target = self.target("wide")
        _, gate = self.target("wide", kind=OTHER_KIND)
        crossed = copy.deepcopy(target)
        crossed["custom"].update(variant=gate["custom"]["variant"], deployment="forged-crossed")
        self.assign((path, crossed))
        self.told("target_mismatch", "is not the release's for " + KIND)
        self.assign((path, {**gate, "custom": {**gate["custom"], "deployment": "forged-kind"}}))
        self.told("wrong_kind")
        path, alone = self.target("gate")
        self.assign((path, {**alone, "custom": {**alone["custom"], "deployment": "forged-alone"}}))
        self.told("target_mismatch", "did not make it for the kind")
        self.unharmed()
        self.recovers()

    def test_nothing_below_the_release_counter_is_run_again(self):
        self.assign(self.target("old"))
        self.told("counter_below_floor")
        path, lied = self.target("old")
        lied["custom"].update(release_counter=2, deployment="forged-counter")
        self.assign((path, lied))
        self.told("target_mismatch", "release counters")
        self.unharmed()
        self.recovers()

    def test_other_bytes_under_a_signed_name_are_not_run(self):
        self.publish("swapped", size=50_000)
        model = max(self.blobs("swapped"), key=lambda item: len(item[1]))
        wrong = bytes(byte ^ 1 for byte in model[1])
        self.hostile.rule = lambda request: Reply(200, wrong) if request.path == model[0] else None
        self.scene.roll_out("swapped", "100%,failures=100%")
        self.logged("from=fetch", "digest_mismatch")
        self.unharmed()
        self.recovers()

    def blobs(self, version):
        folder = self.scene.path("releases", version, "blobs", "sha256")
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), "rb") as file:
                yield "/api/v1/blobs/sha256:" + name, file.read()

    def test_a_director_that_uses_up_all_numbers_is_outlived_by_replacing_its_key(self):
        last = 2 ** 53 - 1
        self.assign(version=last)
        wait_until("the last number is taken", PATIENCE,
                   lambda: self.poke() and self.status()["assignment_version"] == last, 0.3)
        self.end_attack()
        self.publish("later", "--release-counter", 2)
        self.scene.roll_out("later")
        self.told("metadata_rollback")
        self.unharmed()
        self.replace_director()
        wait_until("the device runs what was assigned", PATIENCE, lambda: self.poke() and self.runs() == "later", 0.3)
        type(self).thief.director = Key(os.path.join(self.scene.data, "keys", "director.key"))
        self.ran = "later"
        self.recovers()

    def replace_director(self):
        """As the managers of `targets` do: a new key on the server, and their signature under its public half."""
        os.unlink(os.path.join(self.scene.data, "keys", "director.key"))
        self.scene.server.stop()
        self.scene.server.start()
        self.scene.wait_for_server()
        files = self.metadata()
        signed = json.loads(next(content for name, content in files.items() if name.endswith(".targets.json")))["signed"]
        new = Key(os.path.join(self.scene.data, "keys", "director.key"))
        delegation = next(role for role in signed["delegations"]["roles"] if role["name"] == "director")
        for keyid in delegation["keyids"]:
            signed["delegations"]["keys"].pop(keyid)
        signed["delegations"]["keys"][new.id] = new.object
        delegation["keyids"] = [new.id]
        signed["version"] += 1
        answer = self.admin.post("/metadata/targets", Key(self.scene.key("targets")).sign(signed))
        self.assertEqual(answer.status, 201, answer)

    def newest(self):
        return "--release-counter", 2


if __name__ == "__main__":
    unittest.main(verbosity=2)
