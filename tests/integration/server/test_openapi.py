"""Calls every operation of proto/openapi.yaml, and compares status, content type and shape with what stands there."""

import hashlib
import json
import os
import re
import unittest

import yaml

from live import KIND, MODEL, Device, LiveCase

SOURCE = os.environ["DROVER_SOURCE_DIR"]
METHODS = ("get", "head", "put", "post", "patch", "delete")
TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None)}


class Document:
    def __init__(self):
        with open(os.path.join(SOURCE, "proto", "openapi.yaml"), encoding="utf-8") as file:
            self.root = yaml.safe_load(file)

    def operations(self):
        for path, item in self.root["paths"].items():
            for method in METHODS:
                if method in item:
                    yield path, method, item[method]

    def resolve(self, node):
        while "$ref" in node:
            target = self.root
            for part in node["$ref"].lstrip("#/").split("/"):
                target = target[part]
            node = target
        return node

    def fault(self, schema, value, at=""):
        """The first thing that does not fit, or None."""
        schema = self.resolve(schema)
        types = schema.get("type")
        if types:
            wanted = tuple(TYPES[one] for one in ([types] if isinstance(types, str) else types))
            if not isinstance(value, wanted):
                return f"{at}: {value!r} is no {types}"
        if "enum" in schema and value not in schema["enum"]:
            return f"{at}: {value!r} is none of {schema['enum']}"
        if "pattern" in schema and isinstance(value, str) and not re.match(schema["pattern"], value):
            return f"{at}: {value!r} does not match {schema['pattern']}"
        for part in schema.get("allOf", ()):
            if found := self.fault(part, value, at):
                return found
        if isinstance(value, dict):
            for name in schema.get("required", ()):
                if name not in value:
                    return f"{at}/{name} is missing"
            for name, inner in schema.get("properties", {}).items():
                if name in value and (found := self.fault(inner, value[name], f"{at}/{name}")):
                    return found
        if isinstance(value, list) and "items" in schema:
            for i, item in enumerate(value):
                if found := self.fault(schema["items"], item, f"{at}/{i}"):
                    return found
        return None


class OpenApi(LiveCase):
    @classmethod
    def prepare(cls):
        cls.document = Document()
        cls.called = {}
        cls.server.trust()
        cls.server.publish("1")

    def call(self, operation_id, client, body=None, headers=None, query="", **params):
        path, method, operation = next(o for o in self.document.operations() if o[2]["operationId"] == operation_id)
        address = path
        for name, value in params.items():
            address = address.replace("{" + name + "}", value)
        answer = client.ask(method.upper(), address + query, body, headers)
        responses = operation["responses"]
        where = f"{method.upper()} {path}: {answer}"
        self.assertIn(str(answer.status), responses, where)
        documented = self.document.resolve(responses[str(answer.status)]).get("content", {})
        given = answer.headers.get("Content-Type", "").split(";")[0]
        if documented and method != "head":
            self.assertIn(given, documented, where)
            schema = documented[given].get("schema")
            if schema:
                self.assertIsNone(self.document.fault(schema, answer.json), where)
        elif method != "head":
            self.assertEqual(answer.body, b"", where)
        self.called.setdefault(operation_id, set()).add(answer.status)
        return answer

    def good(self, operation_id, client, *arguments, **options):
        answer = self.call(operation_id, client, *arguments, **options)
        self.assertLess(answer.status, 400, answer)
        return answer

    def walk_fleet(self):
        admin = self.admin
        token = self.good("createEnrolmentToken", admin, {"name": "line", "uses": 10}).json
        self.good("listEnrolmentTokens", admin)
        device, waiting, third = (Device(self.server, name) for name in ("walker", "waiting", "third"))
        device.enrolment = token["token"]
        self.good("deviceChallenge", device.client, {})
        self.expect(device.session(), 200)
        challenge = device.client.post("/device/challenge").json["challenge"]
        self.good("deviceSession", device.client, {
            "public_key": device.public_key, "challenge": challenge, "kind": KIND, "name": "walker",
            "signature": device.sign("drover-session-v1\n" + challenge)})
        self.expect(waiting.session(), 403, "pending")
        self.good("acceptDevice", admin, id=waiting.id)
        self.good("preauthoriseDevice", admin, {"public_key": third.public_key, "name": "third", "kind": KIND})
        self.good("listDevices", admin, query="?state=active&limit=1&query=all")
        self.good("changeDevice", admin, {"tags": {"add": ["lab"]}}, id=device.id)
        self.good("createGroup", admin, {"name": "kiosks", "query": f'kind = "{KIND}"'})
        self.good("createGroup", admin, {"name": "listed", "devices": [device.id]})
        self.good("previewGroup", admin, {"query": "tag:lab"})
        self.good("listGroups", admin)
        self.good("getGroup", admin, name="kiosks")
        self.good("replaceGroup", admin, {"query": "all"}, name="kiosks")
        self.good("removeGroup", admin, name="listed")
        self.good("removeEnrolmentToken", admin, id=token["id"])
        self.good("decommissionDevice", admin, id=third.id)
        return device

    def walk_releases(self):
        admin = self.admin
        self.good("listModels", admin)
        self.good("listReleases", admin, model=MODEL)
        release = self.good("getRelease", admin, model=MODEL, version="1").json
        data = b"some bytes"
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        upload = self.good("beginUpload", admin, {"digest": digest, "size": len(data)}).json["id"]
        self.good("getUpload", admin, id=upload)
        self.good("headUpload", admin, id=upload)
        self.good("continueUpload", admin, data, {"Upload-Offset": "0", "Content-Type": "application/octet-stream"}, id=upload)
        self.good("beginUpload", admin, {"digest": digest, "size": len(data)})
        self.good("getBlob", admin, digest=release["index"])
        self.good("headBlob", admin, digest=release["index"])
        self.call("getBlob", admin, None, {"Range": "bytes=0-1"}, digest=digest)
        self.call("getBlob", admin, None, {"Range": "bytes=99-"}, digest=digest)
        self.good("planDelta", admin, query=f"?have={digest}&codecs=1,2", target=release["index"])
        for operation in ("getDelta", "headDelta"):
            self.call(operation, admin, target=digest, base=release["index"])
        self.good("getTrust", admin)
        self.good("getMetadata", self.server.client(), file="1.root.json")
        self.good("getMetadata", self.server.client(), file="timestamp.json")
        out = self.server.build("2")
        self.server.tool("release", "push", out)
        with open(os.path.join(out, "drover", f"{MODEL}.json"), "rb") as file:
            self.call("publishMetadata", admin, file.read(), file=MODEL)
        self.good("makeOnlineKeys", admin, {"roles": ["snapshot"]})
        self.good("getTrust", admin)
        change = self.server.path("change.json")
        self.server.tool("trust", "renew", "targets", "--out", change)
        self.server.tool("trust", "sign", change, "--key", self.server.key("targets"))
        with open(change, encoding="utf-8") as file:
            files = json.load(file)["files"]
        self.good("publishChange", admin, {"files": {role: json.dumps(text) for role, text in files.items()}})

    def walk_rollouts(self, device):
        admin = self.admin
        stages = [{"percent": 50}, {"percent": 100}]
        made = self.good("createRollout", admin, {"name": "one", "model": MODEL, "release": "1", "group": "kiosks",
                                                  "stages": stages}).json
        rollout = made["id"]
        self.good("listRollouts", admin, query="?limit=10")
        self.good("deviceCheckin", device.client, device.body())
        self.good("getRollout", admin, id=rollout)
        etag = self.admin.get(f"/rollouts/{rollout}").headers["ETag"]
        self.call("getRollout", admin, None, {"If-None-Match": etag}, id=rollout)
        self.good("listDeployments", admin, id=rollout)
        self.call("promoteRollout", admin, {"from_stage": 0}, id=rollout)
        for verb in ("pause", "resume", "halt", "rollback"):
            self.good(verb + "Rollout", admin, id=rollout)
        other = self.good("createRollout", admin, {"name": "two", "model": MODEL, "release": "1", "group": "kiosks",
                                                   "stages": stages}).json["id"]
        self.good("abortRollout", admin, id=other)

    def walk_people(self):
        admin = self.admin
        self.good("whoami", admin)
        token = self.good("createToken", admin, {"name": "walker", "role": "viewer"}).json
        self.good("listTokens", admin)
        self.good("removeToken", admin, id=token["id"])
        self.good("listAudit", admin, query="?after=0&limit=5")
        for operation in ("healthz", "readyz", "metrics"):
            self.good(operation, self.server.client())

    def walk_refusals(self):
        """Without a token, and with names that are nobody's: documented as well."""
        names = {"digest": "sha256:" + "0" * 64, "target": "sha256:" + "0" * 64, "base": "sha256:" + "1" * 64}
        for path, _, operation in list(self.document.operations()):
            params = {name: names.get(name, "nobody") for name in re.findall(r"\{(\w+)\}", path)}
            if operation.get("security") != []:
                self.assertEqual(self.call(operation["operationId"], self.server.client(), **params).status, 401)
            body = "{" if "requestBody" in operation else None
            self.call(operation["operationId"], self.admin, body, {"Upload-Offset": "0"}, **params)

    def test_every_operation_answers_as_it_is_documented(self):
        device = self.walk_fleet()
        self.walk_releases()
        self.walk_rollouts(device)
        self.good("getDevice", self.admin, id=device.id)
        self.walk_people()
        self.walk_refusals()
        everything = {operation["operationId"] for _, _, operation in self.document.operations()}
        self.assertEqual(everything - set(self.called), set())

    def test_every_route_of_the_server_is_documented(self):
        with open(os.path.join(SOURCE, "server", "auth", "access.cpp"), encoding="utf-8") as file:
            routes = re.findall(r'\{"([A-Z]+) (/[^"]*)", Access', file.read())
        self.assertGreater(len(routes), 40)
        shape = {(method.upper(), re.sub(r"\{\w+\}", "{}", path.removeprefix("/api/v1")))
                 for path, method, _ in self.document.operations()}
        for method, path in routes:
            self.assertIn((method, re.sub(r"\{\w+\}", "{}", path)), shape)

    def test_references_lead_somewhere_and_operations_have_names_of_their_own(self):
        def walk(node):
            if isinstance(node, dict):
                if "$ref" in node:
                    self.document.resolve(node)
                for inner in node.values():
                    walk(inner)
            elif isinstance(node, list):
                for inner in node:
                    walk(inner)
        walk(self.document.root)
        ids = [operation["operationId"] for _, _, operation in self.document.operations()]
        self.assertEqual(len(ids), len(set(ids)))


if __name__ == "__main__":
    unittest.main(verbosity=2)
