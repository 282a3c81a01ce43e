"""Every rule, shown a bad example that it must find and a good one that it must leave alone."""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import rules
from project import Project
from source import Source

TABLE = """
```layers
@low = common/base common/time
common/base:
common/time: common/base
common/net: @low
server/rollout: @low
server/api: @low server/rollout
tests: *
pure: server/rollout
```
"""


class RuleTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.project = Project(self.folder.name, TABLE)
        for path in ("common/base/result.h", "common/net/http.h", "server/rollout/engine.h", "server/api/rollouts.h"):
            self.write(path, "// x\n#pragma once\n")

    def write(self, path, text):
        full = os.path.join(self.folder.name, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)

    def found(self, rule, path, text):
        return [sentence for _, sentence in rule(Source(path, text), self.project)]

    def finds(self, rule, path, text, part=""):
        found = self.found(rule, path, text)
        self.assertTrue(found, f"{rule.__name__} found nothing in:\n{text}")
        self.assertIn(part, " ".join(found))

    def leaves(self, rule, path, text):
        self.assertEqual(self.found(rule, path, text), [], text)


class Layers(RuleTest):
    def test_an_include_upwards_is_found(self):
        self.finds(rules.layers, "common/base/x.cpp", '#include "server/api/rollouts.h"\n', "may not include")

    def test_an_include_between_neighbours_that_no_row_allows_is_found(self):
        self.finds(rules.layers, "server/rollout/x.cpp", '#include "common/net/http.h"\n', "may not include")

    def test_an_allowed_include_passes(self):
        self.leaves(rules.layers, "server/api/x.cpp", '#include "server/rollout/engine.h"\n#include <vector>\n')

    def test_an_include_that_is_not_from_the_top_is_found(self):
        self.finds(rules.layers, "server/api/x.cpp", '#include "rollouts.h"\n', "top of the tree")

    def test_a_folder_without_a_row_is_found(self):
        self.finds(rules.layers, "server/mystery/x.cpp", "", "no row")

    def test_tests_may_include_everything(self):
        self.leaves(rules.layers, "tests/unit/x.cpp", '#include "server/api/rollouts.h"\n')

    def test_a_table_that_names_an_unknown_folder_is_refused(self):
        with self.assertRaises(SystemExit):
            Project(self.folder.name, "```layers\na: b\n```\n")


class Pure(RuleTest):
    def test_a_coroutine_in_a_pure_folder_is_found(self):
        self.finds(rules.pure, "server/rollout/x.cpp", "Task f() { co_return; }\n")

    def test_a_stream_in_a_pure_folder_is_found(self):
        self.finds(rules.pure, "server/rollout/x.cpp", "void f() { std::cerr << 1; }\n")

    def test_elsewhere_both_are_left_alone(self):
        self.leaves(rules.pure, "server/api/x.cpp", "Task f() { co_return; }\n")


class Bans(RuleTest):
    BAD = {
        "time": "auto t = std::chrono::system_clock::now();",
        "sleep": "std::this_thread::sleep_for(1s);",
        "random": "std::random_device device;",
        "thread": "std::thread worker(f);",
        "environment": 'auto home = std::getenv("HOME");',
    }

    def test_each_is_found_outside_the_seams(self):
        for rule, text in self.BAD.items():
            with self.subTest(rule):
                self.finds(rules.bans, "server/api/x.cpp", text + "\n", f"[{rule}]")

    def test_each_is_left_alone_in_the_seams(self):
        for rule, text in self.BAD.items():
            with self.subTest(rule):
                self.leaves(rules.bans, "common/net/x.cpp", text + "\n")

    def test_every_ban_has_a_bad_example_here(self):
        self.assertEqual({ban[0] for ban in rules.BANS}, set(self.BAD))

    def test_a_plain_c_call_is_found(self):
        for text in ("long t = time(nullptr);", "sleep(1);", "int r = rand();", "::setenv(a, b, 1);"):
            with self.subTest(text):
                self.finds(rules.bans, "server/api/x.cpp", text + "\n")

    def test_words_in_comments_strings_and_other_names_are_left_alone(self):
        self.leaves(
            rules.bans,
            "server/api/x.cpp",
            '// std::thread is banned\nauto s = "getenv()";\nint x = clock.time(0);\nauto y = in.sleep(1);\n',
        )

    def test_a_reason_excuses_one_line_and_one_rule(self):
        excuse = "// tidy: allow thread because the library calls back on its own\n"
        self.leaves(rules.bans, "server/api/x.cpp", excuse + "std::thread t;\n")
        self.finds(rules.bans, "server/api/x.cpp", excuse + 'auto home = std::getenv("HOME");\n')
        self.finds(rules.bans, "server/api/x.cpp", "// tidy: allow thread\nstd::thread t;\n")


class Headers(RuleTest):
    def test_a_header_without_guard_is_found(self):
        self.finds(rules.headers, "a/x.h", "// What it is.\nint f();\n", "pragma once")

    def test_a_header_without_a_leading_comment_is_found(self):
        self.finds(rules.headers, "a/x.h", "#pragma once\nint f();\n", "comment")

    def test_a_namespace_forced_on_readers_is_found(self):
        self.finds(rules.headers, "a/x.h", "// x\n#pragma once\nusing namespace std;\n", "using namespace")

    def test_a_source_file_may_do_as_it_likes(self):
        self.leaves(rules.headers, "a/x.cpp", "using namespace std::chrono_literals;\n")

    def test_third_party_in_a_public_header_is_found_and_in_an_internal_one_left_alone(self):
        for name in ("<boost/beast/http.hpp>", "<openssl/evp.h>", "<sqlite3.h>", "<sodium.h>"):
            with self.subTest(name):
                self.finds(rules.third_party, "a/x.h", f"#include {name}\n")
                self.leaves(rules.third_party, "a/x_impl.h", f"#include {name}\n")
                self.leaves(rules.third_party, "a/x.cpp", f"#include {name}\n")


class Coroutines(RuleTest):
    def test_a_braced_list_beside_co_await_is_found(self):
        for text in (
            "auto x = co_await f(Foo{1});",
            "co_await f({1, 2});",
            "CO_TRY(co_await send(Message{.a = 1}));",
            "const auto y = std::vector<int>{co_await f()};",
            "if (auto r = co_await f(A{}); r) { g(); }",
            "for (int i : co_await f(A{})) g(i);",
        ):
            with self.subTest(text):
                self.finds(rules.coroutines, "a/x.cpp", f"Task g() {{\n  {text}\n}}\n", "braced")

    def test_a_lambda_beside_co_await_is_found(self):
        for text in (
            "co_await f([](int x) { return x; });",
            "co_await f([&]() -> int { return 1; });",
            "co_await f([] { return 1; });",
        ):
            with self.subTest(text):
                self.finds(rules.coroutines, "a/x.cpp", f"Task g() {{\n  {text}\n}}\n", "lambda")

    def test_a_lambda_coroutine_that_captures_is_found(self):
        self.finds(rules.coroutines, "a/x.cpp", "void g() { spawn([this]() -> Task { co_await f(); }()); }\n", "captures")

    def test_what_is_named_on_the_line_above_is_left_alone(self):
        self.leaves(
            rules.coroutines,
            "a/x.cpp",
            """Task g(std::vector<int> v) {
  Foo foo{1};
  auto h = [](int x) { return x; };
  co_await f(foo, h, v[0]);
  for (int i = 0; i < 3; ++i) {
    if (co_await more()) { co_return; }
    switch (i) { case 1: { co_await f(); break; } }
  }
  Foo other{2};
  auto k = [](Task t) -> Task { co_await t; };
  co_await f(k);
}
""",
        )

    def test_classes_constructors_and_tables_do_not_confuse_it(self):
        self.leaves(
            rules.coroutines,
            "a/x.cpp",
            """class [[nodiscard]] A final : public B {
 public:
  A() : a_{1}, b_(2) {}
  auto run() -> Task { co_await f(); }
  bool operator[](int i) const { return a_ == i; }
 private:
  int a_{0};
};
constexpr Row kTable[] = {{1, 2}, {3, 4}};
enum class E : int { a, b };
template <class T> Task g(T t) { co_await t; }
""",
        )


class Length(RuleTest):
    def test_a_long_function_is_found_and_a_reason_excuses_it(self):
        body = "int f() {\n" + "  g();\n" * 70 + "}\n"
        self.finds(rules.length, "a/x.cpp", body, "72 lines")
        self.leaves(rules.length, "a/x.cpp", "// tidy: long because it is one table\n" + body)

    def test_a_function_of_seventy_lines_passes(self):
        self.leaves(rules.length, "a/x.cpp", "int f() {\n" + "  g();\n" * 68 + "}\n")

    def test_a_long_method_of_a_class_is_found(self):
        self.finds(rules.length, "a/x.cpp", "class A {\n public:\n  int f() const {\n" + "  g();\n" * 70 + "  }\n};\n")

    def test_a_class_and_a_namespace_may_be_long(self):
        self.leaves(rules.length, "a/x.cpp", "namespace a {\nclass A {\n" + "  int f();\n" * 100 + "};\n}\n")

    def test_a_long_file_is_found_and_a_reason_excuses_it(self):
        self.finds(rules.length, "a/x.cpp", "int a;\n" * 601, "601 lines")
        self.leaves(rules.length, "a/x.cpp", "// tidy: long because it is generated\n" + "int a;\n" * 601)
        self.leaves(rules.length, "a/x.cpp", "int a;\n" * 600)

    def test_a_long_script_is_found(self):
        self.finds(rules.python_length, "a/x.py", "a = 1\n" * 601)


class Text(RuleTest):
    def test_a_path_of_one_machine_is_found(self):
        for path in ("/wo" + "rk/main", "/ho" + "me/anna/src", "/tm" + "p/b/anna"):
            with self.subTest(path):
                self.finds(rules.places, "a/x.sh", f"cd {path}\n")
        self.leaves(rules.places, "a/x.sh", "cd /usr/bin /tmp/drover.1 https://example.org/home/x\n")

    def test_a_registry_is_found(self):
        self.finds(rules.places, "a/x.sh", "curl https://registry.npm" + "js.org/x\n", "registry")

    def test_blanks_at_the_end_are_found(self):
        self.finds(rules.white_space, "a/x.md", "a \n")
        self.finds(rules.white_space, "a/x.md", "a\n\n")
        self.finds(rules.white_space, "a/x.md", "a")
        self.leaves(rules.white_space, "a/x.md", "a\n")

    def test_a_dead_link_is_found(self):
        self.finds(rules.documents, "docs/x.md", "see [this](NOWHERE.md)\n", "does not exist")
        self.finds(rules.documents, "docs/x.md", "see `server/api/nowhere.cpp`\n", "does not exist")
        self.leaves(rules.documents, "docs/x.md", "see `server/api/rollouts.h` and [x](../common/base/result.h)\n")

    def test_a_function_that_is_not_in_the_named_file_is_found(self):
        self.write("server/api/rollouts.h", "// x\nvoid create();\n")
        self.finds(rules.documents, "docs/x.md", "`destroy()` in `server/api/rollouts.h`\n", "is not in")
        self.leaves(rules.documents, "docs/x.md", "`create()` in `server/api/rollouts.h`\n")

    def test_what_a_compiler_left_is_found_and_the_rest_is_not(self):
        self.write("common/x/list.s", "nop\n")
        self.write("build/y.o", "")
        self.assertEqual(self.project.left_overs(), ["common/x/list.s"])

    def test_a_long_readme_is_found(self):
        self.finds(rules.documents, "README.md", "a\n" * 80)
        self.leaves(rules.documents, "README.md", "a\n" * 79)

    def test_a_test_that_a_document_names_and_nobody_wrote_is_found(self):
        self.write("tests/e2e/test_x.py", "def test_that_it_holds(self):\n")
        self.finds(rules.named_tests, "docs/x.md", "shown by `test_that_it_always_holds`\n", "there is no test")
        self.leaves(rules.named_tests, "docs/x.md", "shown by `test_that_it_holds` in `test_x.py`\n")

    def test_every_rule_is_tested_here(self):
        with open(os.path.abspath(__file__), encoding="utf-8") as file:
            text = file.read()
        for rule in rules.CPP_RULES + rules.TEXT_RULES:
            self.assertIn(f"self.finds(rules.{rule.__name__}", text, rule.__name__)


if __name__ == "__main__":
    unittest.main()
