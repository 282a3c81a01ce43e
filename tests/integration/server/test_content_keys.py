"""Content keys at the real server: who may hand one over, who gets one, and what goes wrong. Boxes are made and opened with
libsodium itself."""

import ctypes
import ctypes.util
import json
import os
import unittest

from live import KIND, MODEL, Device, LiveCase

SEALED_MAGIC = b"DRVKEY\x00\x01"
NOWHERE = "sha256:" + "0" * 64


class Sodium:
    def __init__(self):
        name = ctypes.util.find_library("sodium")
        if not name:
            raise unittest.SkipTest("libsodium cannot be loaded by Python here")
        self._library = ctypes.CDLL(name)
        self._library.sodium_init()

    def keys(self):
        public, secret = ctypes.create_string_buffer(32), ctypes.create_string_buffer(32)
        self._library.crypto_box_keypair(public, secret)
        return public.raw, secret.raw

    def seal(self, message, public):
        sealed = ctypes.create_string_buffer(len(message) + 48)
        self._library.crypto_box_seal(sealed, message, ctypes.c_ulonglong(len(message)), public)
        return sealed.raw

    def open(self, sealed, public, secret):
        message = ctypes.create_string_buffer(len(sealed) - 48)
        if self._library.crypto_box_seal_open(message, sealed, ctypes.c_ulonglong(len(sealed)), public, secret) != 0:
            return None
        return message.raw


class ContentKeys(LiveCase):
    settings = {"delta_wait_seconds": 0}  # else the first offer waits for a file to be packed

    @classmethod
    def prepare(cls):
        cls.sodium = Sodium()
        cls.server.trust()
        cls.out = cls.build("1")
        with open(cls.out + ".keys", encoding="utf-8") as file:
            row = json.load(file)["keys"][0]
        cls.package, cls.key = row["package"], bytes.fromhex(row["key"])
        cls.server.tool("release", "push", cls.out)
        cls.server.publish("plain")

    @classmethod
    def build(cls, version):
        folder = cls.server.path("packages", "secret-" + version)
        os.makedirs(folder)
        with open(os.path.join(folder, "model.onnx"), "wb") as file:
            file.write(os.urandom(5000))
        with open(os.path.join(folder, "drover.json"), "w", encoding="utf-8") as file:
            json.dump({"version": 1, "model": {"file": "model.onnx", "runtime": "onnx"}, "confidential": {}}, file)
        out = cls.server.path("releases", "secret-" + version)
        cls.server.tool("release", "build", MODEL, version, "--variant", f"{KIND}={folder}", "--encrypt", "--out", out)
        cls.server.tool("release", "sign", out, "--key", cls.server.key("release"))
        return out

    def assigned(self, name):
        device = self.enrolled(name)
        self.admin.post("/groups", {"name": name, "query": f'name = "{name}"'})
        self.expect(self.server.roll_out("1", group=name), 201)
        device.checkin()
        self.assertIsNotNone(device.target())
        return device

    def ask(self, device, package=None, signed=None, keys=None):
        keys = keys or self.sodium.keys()
        box_key, package = keys[0].hex(), package or self.package
        signature = device.sign(f"drover-content-key-v1\n{signed or package}\n{box_key}")
        return device.client.post("/device/content-key", {"package": package, "box_key": box_key, "signature": signature})

    def wrapping(self):
        return bytes.fromhex(self.admin.get("/trust").json["wrapping_key"])

    def hand_over(self, key, package=None, bound=None, wrapping=None, client=None):
        package, wrapping = package or self.package, wrapping or self.wrapping()
        message = SEALED_MAGIC + bytes.fromhex((bound or package).split(":")[1]) + key
        body = {"wrapping_key": wrapping.hex(), "sealed": self.sodium.seal(message, wrapping).hex()}
        return (client or self.admin).ask("PUT", f"/content-keys/{package}", body)

    def test_a_device_gets_the_key_of_what_is_assigned_to_it_sealed_to_its_own(self):
        device, keys, other = self.assigned("owner"), self.sodium.keys(), self.sodium.keys()
        answer = self.expect(self.ask(device, keys=keys), 200)
        sealed = bytes.fromhex(answer.json["sealed"])
        self.assertEqual(self.sodium.open(sealed, *keys), SEALED_MAGIC + bytes.fromhex(self.package[7:]) + self.key)
        self.assertIsNone(self.sodium.open(sealed, *other))
        self.assertNotIn(self.key.hex(), answer.body.decode())
        self.assertIn("drover_content_keys_total", self.admin.get("/metrics").body.decode())

    def test_a_device_to_which_it_is_not_assigned_gets_none(self):
        self.expect(self.ask(self.enrolled("stranger")), 403, "permission_denied")

    def test_a_session_alone_opens_nothing(self):
        device, thief = self.assigned("robbed"), Device(self.server, "thief")
        thief.client = device.client  # the stolen session
        self.expect(self.ask(thief), 422, "bad_signature")
        self.expect(self.ask(device, signed=NOWHERE), 422, "bad_signature")

    def test_a_decommissioned_device_gets_none(self):
        device = self.assigned("gone")
        self.expect(self.admin.ask("DELETE", f"/devices/{device.id}"), 204)
        self.assertIn(self.ask(device).status, (401, 410))

    def test_what_is_handed_over_is_looked_at(self):
        wrong = os.urandom(32)
        self.expect(self.hand_over(wrong), 422, "unknown_key")
        self.expect(self.hand_over(self.key, bound=NOWHERE), 422, "unknown_key")
        self.expect(self.hand_over(self.key, wrapping=self.sodium.keys()[0]), 409, "conflict")
        self.expect(self.hand_over(self.key, package=NOWHERE), 404, "not_found")
        release = self.admin.get(f"/models/{MODEL}/releases/plain").json
        self.expect(self.hand_over(self.key, package=release["variants"][0]["manifest"]), 400, "invalid_argument")
        self.expect(self.hand_over(self.key, client=self.server.person("operator")), 403, "permission_denied")
        self.expect(self.hand_over(self.key, client=self.server.person("release_manager")), 200)

    def test_keys_are_in_the_clear_nowhere_on_the_server(self):
        self.assigned("looked-at")
        for folder, _, names in os.walk(self.server.path("data")):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    content = file.read()
                self.assertNotIn(self.key, content, name)
                self.assertNotIn(self.key.hex().encode(), content, name)

    def test_a_release_whose_keys_nobody_handed_over_is_not_published(self):
        out = self.build("unkeyed")
        os.rename(out + ".keys", out + ".elsewhere")
        with self.assertRaises(RuntimeError):
            self.server.tool("release", "push", out)
        # Not only the tool says no.
        self.server.tool("release", "push", out, "--content-keys", out + ".elsewhere")
        again = self.build("unkeyed2")
        for hex_name in os.listdir(os.path.join(again, "blobs", "sha256")):
            path = os.path.join(again, "blobs", "sha256", hex_name)
            with open(path, "rb") as file:
                data = file.read()
            upload = self.admin.post("/uploads", {"digest": "sha256:" + hex_name, "size": len(data)}).json
            if not upload["complete"]:
                self.admin.ask("PATCH", f"/uploads/{upload['id']}", data,
                               {"Upload-Offset": "0", "Content-Type": "application/octet-stream"})
        self.server.tool("release", "sign", again, "--key", self.server.key("release"))
        with open(os.path.join(again, "drover", f"{MODEL}.json"), "rb") as file:
            metadata = file.read()
        refused = self.admin.post(f"/metadata/{MODEL}", metadata)
        self.expect(refused, 409, "conflict")
        self.assertIn("content key", refused.json["detail"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
