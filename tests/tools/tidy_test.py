# SPDX-License-Identifier: Apache-2.0
"""tools/tidy against a tiny tree that breaks one rule at a time, and one that breaks none."""
import importlib.machinery
import importlib.util
import os
import shutil
import subprocess

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def load():
    loader = importlib.machinery.SourceFileLoader("tidy", os.path.join(TOP, "tools", "tidy"))
    spec = importlib.util.spec_from_loader("tidy", loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


tidy = load()
HEAD = "// SPDX-License-Identifier: Apache-2.0\n//\n// thing.c: what it is.\n"
GOOD = HEAD + '#include "base/thing.h"\n\nint thing_add(int a, int b)\n{\n    return a + b;\n}\n'
TEST = HEAD + "int main(void)\n{\n    return 0;\n}\n"


@pytest.fixture
def tree(tmp_path):
    """A tree with nothing wrong in it; returns a function that writes a file and checks."""
    def write(path, text):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def check(path=None, text=None, objects=None, with_format=False):
        if path:
            write(path, text)
        findings, _ = tidy.run(str(tmp_path), str(objects or tmp_path / "none"), with_format)
        return [(f[0], f[1], f[2]) for f in findings]

    write("base/thing.h", HEAD + "int thing_add(int a, int b);\n")
    write("base/thing.c", GOOD)
    write("tests/unit/base/thing_test.c", TEST)
    check.root = tmp_path
    return check


def c(body, includes=""):
    return HEAD + includes + "\nint thing_add(int a)\n{\n" + body + "\n    return a;\n}\n"


def test_a_good_tree_has_no_findings(tree):
    assert tree() == []


# ---- include ----------------------------------------------------------------------------------

@pytest.mark.parametrize("path,include,found", [
    ("base/a.h", '"ring/ring.h"', True),
    ("ring/a.h", '"base/thing.h"', False),
    ("ring/a.h", '"net/core.h"', True),
    ("codec/a.h", '"net/core.h"', True),
    ("codec/a.h", '"ring/ring.h"', True),
    ("providers/a.h", '"codec/json.h"', False),
    ("net/a.h", '"codec/json.h"', True),
    ("net/a.h", '"ring/ring.h"', False),
    ("gateway/a.h", '"net/core.h"', False),
    ("gateway/a.h", '"admin/admin.h"', True),
    ("gateway/a.h", '"tests/support/x.h"', True),
    ("net/a.h", '"core.h"', True),
    ("net/a.h", '"../base/thing.h"', True),
    ("codec/a.h", "<sys/socket.h>", True),
    ("providers/a.h", "<unistd.h>", True),
    ("codec/a.h", "<string.h>", False),
    ("codec/a.h", "<yyjson.h>", False),
    ("net/a.h", "<yyjson.h>", True),
    ("ring/a.h", "<liburing.h>", False),
    ("net/a.h", "<liburing.h>", True),
    ("net/a.h", "<openssl/ssl.h>", False),
    ("providers/a.h", "<openssl/ssl.h>", True),
    ("providers/a.h", "<openssl/hmac.h>", False),
    ("bench/mock/a.h", '"net/core.h"', False),
])
def test_include(tree, path, include, found):
    result = tree(path, HEAD + "#include %s\n" % include)
    assert result == ([(path, 4, "include")] if found else [])


# ---- length, columns, essay -------------------------------------------------------------------

def test_a_function_of_70_lines_is_fine(tree):
    assert tree("base/thing.c", c("\n".join(["    a++;"] * 66))) == []


def test_a_function_of_71_lines_is_too_long(tree):
    assert tree("base/thing.c", c("\n".join(["    a++;"] * 67))) == [("base/thing.c", 5, "length")]


def test_a_long_table_is_no_function(tree):
    rows = "\n".join(["    {1},"] * 100)
    assert tree("base/thing.c", GOOD + "const struct row rows[] = {\n" + rows + "\n};\n") == []


def test_braces_in_comments_and_literals_do_not_count(tree):
    text = c('    puts("}"); // }\n    a += \'}\'; /* } */\n' + "\n".join(["    a++;"] * 70))
    assert tree("base/thing.c", text) == [("base/thing.c", 5, "length")]


def test_a_file_of_more_than_800_lines(tree):
    assert tree("base/thing.c", GOOD + "\n" * 800) == [("base/thing.c", 800, "length")]


def test_columns_are_counted_in_characters(tree):
    assert tree("base/thing.c", GOOD + "// " + "─" * 97 + "\n") == []
    assert tree("base/thing.c", GOOD + "// " + "─" * 98 + "\n") == [("base/thing.c", 10, "columns")]


def test_the_licence_comes_first(tree):
    assert tree("base/thing.h", "\n" + HEAD) == [("base/thing.h", 1, "essay")]


def test_the_essay_follows(tree):
    text = HEAD.split("\n", 1)[0] + "\n#include <stddef.h>\nint a;\n"
    assert tree("base/thing.h", text) == [("base/thing.h", 2, "essay")]


# ---- ban, malloc ------------------------------------------------------------------------------

@pytest.mark.parametrize("call", [
    "strcpy(a, b)", "strcat(a, b)", "sprintf(a, b)", "strtok(a, b)", "gets(a)", "atoi(a)",
    "alloca(a)", "assert(a)", "fork()", "rand()"])
def test_banned_calls(tree, call):
    assert tree("base/thing.c", c("    a = %s;" % call)) == [("base/thing.c", 7, "ban")]


@pytest.mark.parametrize("call", [
    "snprintf(a, b)", "x->system(a)", "x.random(a)", "my_strcpy(a)", '"strcpy(a)"[0]',
    "b; // strcpy(a)"])
def test_calls_that_only_look_banned(tree, call):
    assert tree("base/thing.c", c("    a = %s;" % call)) == []


def test_a_test_may_fork(tree):
    assert tree("tests/unit/base/thing_test.c", c("    fork();")) == []


def test_typedef_struct(tree):
    assert tree("base/thing.h", HEAD + "typedef struct thing thing;\n") == \
        [("base/thing.h", 4, "ban")]
    assert tree("base/thing.h", HEAD + "typedef void (*thing_fn)(struct thing *t);\n") == []


def with_ring_test(tree):
    tree("tests/unit/ring/a_test.c", TEST)


def test_malloc_is_for_base_and_constructors(tree):
    with_ring_test(tree)
    assert tree("base/thing.c", c("    malloc(1);")) == []
    assert tree("ring/a.c", c("    malloc(1);")) == [("ring/a.c", 7, "malloc")]
    assert tree("ring/a.c", c("    malloc(1);").replace("thing_add", "ring_new")) == []
    assert tree("ring/a.c", TEST) == []
    assert tree("bench/mock/a.c", c("    malloc(1);")) == []


# ---- state ------------------------------------------------------------------------------------

@pytest.mark.skipif(not shutil.which("cc"), reason="no compiler")
@pytest.mark.parametrize("line,found", [
    ("int counter;", True),
    ("int counter = 1;", True),
    ("_Thread_local int counter;", True),
    ("int f(void); int f(void) { static int counter; return counter++; }", True),
    ("const int table[2] = {1, 2};", False),
    ('const char *const names[2] = {"a", "b"};', False),
])
def test_state(tree, line, found):
    source = tree.root / "base" / "thing.c"
    source.write_text(HEAD + line + "\n")
    objects = tree.root / "build"
    objects.mkdir()
    subprocess.run(["cc", "-fPIC", "-c", source, "-o", objects / "thing.c.o"], check=True)
    subprocess.run(["ar", "rcs", objects / "libbase.a", objects / "thing.c.o"], check=True)
    (objects / "thing.c.o").unlink()
    assert tree(objects=objects) == ([("base/thing.c", 1, "state")] if found else [])


# ---- name, park, test, word -------------------------------------------------------------------

@pytest.mark.parametrize("name,found", [
    ("util", True), ("utils", True), ("common", True), ("helpers", True), ("misc", True),
    ("conn_new", True), ("conn_old", True), ("conn2", True), ("conn_2", True),
    ("json_helpers", True), ("news", False), ("http2", False), ("utility", False)])
def test_name(tree, name, found):
    path = "base/%s.h" % name
    assert tree(path, HEAD) == ([(path, 1, "name")] if found else [])


@pytest.mark.parametrize("name,found", [
    ("thing_add", True), ("serve", True), ("serve_await", False), ("exchange_fiber", False),
    ("worker_main", False)])
def test_who_parks_says_so(tree, name, found):
    with_ring_test(tree)
    text = HEAD + "\nint %s(int a)\n{\n    return fiber_sleep_await(a);\n}\n" % name
    assert tree("ring/a.c", text) == ([("ring/a.c", 7, "park")] if found else [])


def test_a_call_through_an_operation_table_parks_too(tree):
    with_ring_test(tree)
    assert tree("ring/a.c", c("    a = x->ops->write_await(x);")) == [("ring/a.c", 7, "park")]


def test_every_source_has_its_test(tree):
    assert tree("ring/a.c", GOOD) == [("ring/a.c", 1, "test")]


@pytest.mark.parametrize("word", ["TO" + "DO", "FIX" + "ME", "XX" + "X"])
def test_words(tree, word):
    assert tree("base/thing.h", HEAD + "// %s: later\n" % word) == [("base/thing.h", 4, "word")]


# ---- format, allow ----------------------------------------------------------------------------

@pytest.mark.skipif(not shutil.which("clang-format"), reason="no clang-format")
def test_format(tree):
    shutil.copy(os.path.join(TOP, ".clang-format"), tree.root)
    assert tree(with_format=True) == []
    assert tree("base/thing.c", GOOD.replace("a + b", "a+b"), with_format=True) == \
        [("base/thing.c", 8, "format")]
    found = tree("base/thing.h", HEAD + "struct a {\n    int   b;\n};\n", with_format=True)
    assert ("base/thing.h", "format") in [(path, rule) for path, _, rule in found]


def test_an_exception_for_one_function(tree):
    (tree.root / "tools").mkdir()
    allow = tree.root / "tools" / "tidy.allow"
    long = c("\n".join(["    a++;"] * 80))
    allow.write_text("base/thing.c:thing_add length: a table would be longer\n")
    assert tree("base/thing.c", long) == []
    assert tree("base/thing.c", long.replace("thing_add", "other")) == [
        ("base/thing.c", 5, "length"), ("tools/tidy.allow", 1, "allow")]


def test_an_exception_for_a_file(tree):
    (tree.root / "tools").mkdir()
    (tree.root / "tools" / "tidy.allow").write_text("# why\n\nring/a.c test: only tables\n")
    assert tree("ring/a.c", GOOD) == []


def test_an_exception_needs_a_rule_and_a_reason(tree):
    (tree.root / "tools").mkdir()
    allow = tree.root / "tools" / "tidy.allow"
    allow.write_text("ring/a.c just because\n")
    assert tree() == [("tools/tidy.allow", 1, "allow")]
    allow.write_text("ring/a.c test:\n")
    assert tree() == [("tools/tidy.allow", 1, "allow")]


def test_an_exception_stands_once(tree):
    (tree.root / "tools").mkdir()
    (tree.root / "tools" / "tidy.allow").write_text("ring/a.c test: x\nring/a.c test: y\n")
    assert tree("ring/a.c", GOOD) == [("tools/tidy.allow", 2, "allow")]


def test_an_exception_nobody_needs_is_a_finding(tree):
    (tree.root / "tools").mkdir()
    (tree.root / "tools" / "tidy.allow").write_text("base/thing.c length: it was long once\n")
    assert tree() == [("tools/tidy.allow", 1, "allow")]


# ---- limits -----------------------------------------------------------------------------------

PAGE = "# Limits\n\n<!-- begin: tools/limits -->\n%s<!-- end: tools/limits -->\n"
ROWS = ("\n| constant | value | |\n|---|---|---|\n| **`base/limits.h`** | | |\n"
        "| `LIMIT_HEAD_BYTES` | 64 KiB | A head that never ends. 431. |\n"
        "| `LIMIT_FIELDS` | 1,024 | Many fields, and what they cost. |\n"
        "| `THINGS_MAX` | 2,048 | Many fields, and what they cost. |\n"
        "| `OTHER_MAX` | (2 * THINGS_MAX) | made of another |\n\n")
LIMITS = HEAD + """
// A head that never ends. 431.
#define LIMIT_HEAD_BYTES ((size_t)64 * 1024)
// Many fields,
// and what they cost.
#define LIMIT_FIELDS 1024u
#define THINGS_MAX   2048
#define OTHER_MAX (2 * THINGS_MAX) // made of another
#define UNRELATED 7

int x_MAX(void);
"""


def test_a_page_of_limits_that_is_current(tree):
    tree("base/limits.h", LIMITS)
    assert tree("docs/limits.md", PAGE % ROWS) == []


@pytest.mark.parametrize("page", [PAGE % "", PAGE % ROWS.replace("1,024", "1,025"), "# Limits\n",
                                  PAGE % (ROWS + "| `GONE_MAX` | 1 | |\n")])
def test_a_page_of_limits_that_is_not(tree, page):
    tree("base/limits.h", LIMITS)
    assert tree("docs/limits.md", page) == [("docs/limits.md", 1, "limits")]
