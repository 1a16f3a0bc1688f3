# SPDX-License-Identifier: Apache-2.0
"""tools/tally adds up what the runners leave behind."""
import os
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def tally(*paths):
    done = subprocess.run([os.path.join(TOP, "tools", "tally"), *map(str, paths)],
                          capture_output=True, text=True)
    return done.stdout, done.returncode


def test_ctest_pytest_and_node_add_up(tmp_path):
    ctest = tmp_path / "a-ctest.xml"
    ctest.write_text('<testsuite><testcase name="a" status="run"/>'
                     '<testcase name="b" status="fail"><failure message=""/></testcase>'
                     '<testcase name="c" status="disabled"/></testsuite>')
    pytest = tmp_path / "a-e2e.xml"
    pytest.write_text('<testsuites><testsuite><testcase name="a"/><testcase name="b"><skipped/>'
                      '</testcase><testcase name="c"><error/></testcase></testsuite></testsuites>')
    node = tmp_path / "sdk.tap"
    node.write_text("TAP version 13\n# tests 3\n# pass 2\n# fail 1\n# cancelled 0\n")
    assert tally(ctest, pytest, node) == ("4 passed, 3 failed\n", 1)


def test_all_well(tmp_path):
    node = tmp_path / "sdk.tap"
    node.write_text("# pass 2\n# fail 0\n")
    assert tally(node) == ("2 passed, 0 failed\n", 0)


def test_a_runner_that_died_is_a_failure(tmp_path):
    half = tmp_path / "half.xml"
    half.write_text("<testsuite><testcase")
    assert tally(half) == ("0 passed, 1 failed\n", 1)
    assert tally(tmp_path / "sdk.tap") == ("0 passed, 1 failed\n", 1)


def test_a_test_that_was_not_built_is_a_failure(tmp_path):
    ctest = tmp_path / "a-ctest.xml"
    ctest.write_text('<testsuite><testcase name="a" status="notrun">'
                     '<skipped message="Unable to find executable"/></testcase>'
                     '<testcase name="b" status="notrun">'
                     '<skipped message="SKIP_RETURN_CODE=77"/></testcase></testsuite>')
    assert tally(ctest) == ("0 passed, 1 failed\n", 1)


def test_nothing_is_nothing():
    assert tally() == ("0 passed, 0 failed\n", 0)
