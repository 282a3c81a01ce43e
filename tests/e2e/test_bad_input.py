"""What comes in wrong gets a clear error, and nothing is lost by it."""

import concurrent.futures
import hashlib
import os

from scene import KIND, SceneTest, unittest
from tool import ToolError


class People(SceneTest):
    @classmethod
    def prepare(cls, scene):
        scene.open()
        scene.publish("1")
        cls.http = scene.http()

    def refused(self, answer, status, code, *words):
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.headers.get("Content-Type"), "application/problem+json")
        self.assertEqual(answer.code, code, answer)
        for word in words:
            self.assertIn(word, answer.json["detail"])

    def spec(self, **changes):
        return {"name": "x", "model": self.scene.model, "release": "1", "group": "none",
                "stages": [{"percent": 100}], **changes}

    def test_malformed_json_is_refused_with_its_place(self):
        for body in ('{"name":', "[1,2", '{"name":"a","name":"b"}', "\xff", "{} {}", "[" * 1000):
            with self.subTest(body[:20]):
                self.refused(self.http.post("/groups", body.encode("latin-1")), 400, "malformed")

    def test_wrong_types_and_unknown_fields_are_refused_and_named(self):
        self.assertIn("/name", self.http.post("/groups", {"name": 7, "query": "kind = \"a\""}).json["detail"])
        self.assertIn("/colour", self.http.post("/groups", {"name": "g", "query": "kind = \"a\"", "colour": 1}).json["detail"])
        answer = self.http.post("/rollouts", self.spec(stages=[{"percent": 100, "failure_treshold_percent": 5}]))
        self.assertEqual(answer.status, 400)
        self.assertIn("failure_treshold_percent", answer.json["detail"])

    def test_a_body_over_the_limit_is_refused(self):
        answer = self.http.post("/groups", b"x" * (2 << 20))
        self.refused(answer, 413, "too_large")
        self.assertEqual(self.http.get("/whoami").status, 200)

    def test_a_query_that_does_not_parse_says_where(self):
        answer = self.http.post("/groups/preview", {"query": 'kind = "a" and and'})
        self.assertEqual(answer.status, 400, answer)
        self.assertRegex(answer.json["detail"], r"1[0-9]")  # the column
        with self.assertRaises(ToolError) as caught:
            self.scene.tool.run("group", "preview", 'kind = "a" and and')
        self.assertIn("and", caught.exception.text)

    def test_without_a_valid_token_there_is_nothing(self):
        for token in ("", "drv_nonsense", "drv_" + "A" * 5000):
            with self.subTest(token[:12]):
                self.refused(self.scene.http(token).get("/devices"), 401, "unauthenticated")

    def test_a_token_without_the_right_is_refused_and_says_which_it_needs(self):
        viewer = self.scene.http(self.scene.token("viewer"))
        self.assertEqual(viewer.get("/devices").status, 200)
        self.refused(viewer.post("/groups", {"name": "v", "query": f'kind = "{KIND}"'}), 403, "permission_denied", "operator")
        operator = self.scene.http(self.scene.token("operator"))
        self.refused(operator.post("/rollouts", self.spec()), 403, "permission_denied", "release_manager")

    def test_an_unknown_route_and_a_wrong_method_are_told_apart(self):
        self.assertEqual(self.http.get("/nothing").status, 404)
        self.assertEqual(self.http.request("PUT", "/whoami", {}).status, 405)

    def test_a_rollout_to_an_empty_group_is_refused_or_waits_and_says_so(self):
        self.http.post("/groups", {"name": "none", "query": 'kind = "nowhere"'})
        answer = self.http.post("/rollouts", self.spec())
        if answer.status >= 300:
            self.assertIn("group", answer.json["detail"])
        else:
            self.assertEqual(answer.json["stages"][0]["members"], 0)

    def test_a_rollout_of_what_does_not_exist_is_refused(self):
        self.http.post("/groups", {"name": "some", "query": f'kind = "{KIND}"'})
        self.refused(self.http.post("/rollouts", self.spec(release="99", group="some")), 404, "not_found", "99")
        self.refused(self.http.post("/rollouts", self.spec(group="nowhere")), 404, "not_found", "nowhere")

    def test_a_repeated_request_with_the_same_key_acts_once(self):
        headers = {"Idempotency-Key": "the-same"}
        body = {"name": "once", "query": f'kind = "{KIND}"'}
        first = self.http.post("/groups", body, headers=headers)
        again = self.http.post("/groups", body, headers=headers)
        self.assertEqual((first.status, again.status), (first.status, first.status), again)
        self.assertLess(first.status, 300)


class Uploads(SceneTest):
    @classmethod
    def prepare(cls, scene):
        scene.open()
        cls.http = scene.http()

    def begin(self, content, size=None):
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        return digest, self.http.post("/uploads", {"digest": digest, "size": len(content) if size is None else size})

    def patch(self, upload, offset, content):
        return self.http.request("PATCH", f"/uploads/{upload}", content,
                                 headers={"Upload-Offset": str(offset), "Content-Type": "application/octet-stream"})

    def test_a_blob_whose_bytes_do_not_match_is_dropped(self):
        content = os.urandom(2000)
        digest, made = self.begin(content)
        self.assertEqual(made.status, 201, made)
        answer = self.patch(made.json["id"], 0, os.urandom(2000))
        self.assertEqual((answer.status, answer.code), (422, "digest_mismatch"))
        self.assertEqual(self.http.get(f"/blobs/{digest}").status, 404)

    def test_a_truncated_blob_waits_for_its_rest_and_resumes(self):
        content = os.urandom(3000)
        digest, made = self.begin(content)
        upload = made.json["id"]
        self.assertEqual(self.patch(upload, 0, content[:1000]).json["offset"], 1000)
        self.assertEqual(self.http.get(f"/blobs/{digest}").status, 404)
        self.assertEqual(self.http.get(f"/uploads/{upload}").json["offset"], 1000)
        self.assertGreaterEqual(self.patch(upload, 500, content[500:]).status, 400)
        self.assertLess(self.patch(upload, 1000, content[1000:]).status, 300)
        self.assertEqual(self.http.get(f"/blobs/{digest}").body, content)

    def test_an_oversized_blob_is_refused(self):
        content = os.urandom(1000)
        _, made = self.begin(content, size=500)
        answer = self.patch(made.json["id"], 0, content)
        self.assertGreaterEqual(answer.status, 400, answer)

    def test_ranges_of_a_blob_are_exact_and_impossible_ones_refused(self):
        content = os.urandom(5000)
        digest, made = self.begin(content)
        self.patch(made.json["id"], 0, content)
        part = self.http.get(f"/blobs/{digest}", headers={"Range": "bytes=100-199"})
        self.assertEqual((part.status, part.body), (206, content[100:200]))
        etag = part.headers["ETag"]
        self.assertEqual(etag, f'"{digest}"')
        rest = self.http.get(f"/blobs/{digest}", headers={"Range": "bytes=4000-", "If-Range": etag})
        self.assertEqual((rest.status, rest.body), (206, content[4000:]))
        other = self.http.get(f"/blobs/{digest}", headers={"Range": "bytes=4000-", "If-Range": '"other"'})
        self.assertEqual((other.status, other.body), (200, content))
        beyond = self.http.get(f"/blobs/{digest}", headers={"Range": "bytes=9000-"})
        self.assertEqual(beyond.status, 416)
        head = self.http.request("HEAD", f"/blobs/{digest}")
        self.assertEqual((head.status, head.headers["Content-Length"], head.body), (200, "5000", b""))


class Releases(SceneTest):
    @classmethod
    def prepare(cls, scene):
        scene.open(threshold=2)

    def test_a_release_without_signature_is_not_published(self):
        out = self.scene.build("unsigned", self.scene.make_package("unsigned"))
        with self.assertRaises(ToolError) as caught:
            self.scene.tool.run("release", "push", out)
        self.assertIn("sign", caught.exception.text)

    def test_a_release_below_its_threshold_is_not_published_and_says_who_is_missing(self):
        out = self.scene.build("half", self.scene.make_package("half"))
        self.scene.tool.run("release", "sign", out, "--key", self.scene.key("alice"))
        with self.assertRaises(ToolError) as caught:
            self.scene.tool.run("release", "push", out)
        self.assertIn("1 more", caught.exception.text)

    def test_a_stranger_cannot_sign(self):
        out = self.scene.build("stranger", self.scene.make_package("stranger"))
        with self.assertRaises(ToolError):
            self.scene.tool.run("release", "sign", out, "--key", self.scene.key("mallory"))

    def test_a_package_with_a_link_or_colliding_names_is_not_built(self):
        linked = self.scene.make_package("linked")
        os.symlink("/etc/passwd", os.path.join(linked, "link"))
        colliding = self.scene.make_package("colliding")
        for name in ("Labels.txt", "labels.txt"):
            with open(os.path.join(colliding, name), "w", encoding="utf-8") as file:
                file.write(name)
        for name, folder in (("linked", linked), ("colliding", colliding)):
            with self.subTest(name), self.assertRaises(ToolError):
                self.scene.build(name, folder)

    def test_a_swapped_file_in_a_signed_release_is_noticed_before_it_is_published(self):
        out = self.scene.build("swapped", self.scene.make_package("swapped"))
        for name in ("alice", "bob"):
            self.scene.tool.run("release", "sign", out, "--key", self.scene.key(name))
        blobs = os.path.join(out, "blobs", "sha256")
        victim = max((os.path.join(blobs, name) for name in os.listdir(blobs)), key=os.path.getsize)
        os.chmod(victim, 0o644)
        with open(victim, "r+b") as file:
            file.write(b"swapped!")
        with self.assertRaises(ToolError):
            self.scene.tool.run("release", "push", out)
        listed = self.scene.tool.json("release", "list")["items"]
        self.assertNotIn("swapped", {row["version"] for row in listed})


class Rush(SceneTest):
    def test_many_at_once_are_all_answered(self):
        http = self.scene.http()
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda n: http.post("/groups", {"name": f"g{n}", "query": f'kind = "k{n}"'}), range(64)))
        self.assertEqual({answer.status for answer in answers} - {200, 201}, set())
        items, cursor = [], ""
        while cursor is not None:
            page = http.get(f"/groups?limit=20&cursor={cursor}" if cursor else "/groups?limit=20").json
            items, cursor = items + page["items"], page["next"]
        self.assertEqual(len({row["name"] for row in items}), 64)


if __name__ == "__main__":
    unittest.main(verbosity=2)
