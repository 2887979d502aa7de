"""Unit tests of stages/kernel-config on a small Kconfig tree of their own. ci/test-kconfig runs them in the stage's sandbox."""

import os
import sys
import tempfile
import types
import unittest

sys.path.insert(0, os.environ.get("KERNEL_CONFIG", "/stage"))

import kernel  # noqa: E402
from causes import Causes  # noqa: E402
from fragments import Wishes, same  # noqa: E402
from names import Names  # noqa: E402
from remedies import Remedies  # noqa: E402
from tree import Tree  # noqa: E402

KCONFIG = """
config MODULES
	bool "modules"
	modules

config NET
	bool "net"

config DEEP
	bool "deep"
	depends on NET && !TINY

config TINY
	bool "tiny"

config HELPER
	bool

config USER
	bool "user"
	select HELPER

config DRIVER
	tristate "driver"

choice
	prompt "speed"
config FAST
	bool "fast"
config SLOW
	bool "slow"
endchoice

config SIZE
	int "size"
	range 4 8
	default 4

config NAME
	string "name"
	default ""

config HAS_FLAG
	def_bool $(shell,{ false; } >/dev/null 2>&1 && echo "y" || echo "n")

config FLAGGED
	bool "flagged"
	depends on HAS_FLAG

config TESTED
	bool "tested"
	depends on $(shell,{ false; } >/dev/null 2>&1 && echo "y" || echo "n")

config NAMED_THING
	bool "named"
"""


def wishes(**fragments):
    found = Wishes()
    for name, text in fragments.items():
        found.read(name, text)
    found.contradictions()
    return found


class Fragments(unittest.TestCase):
    def test_lines_of_every_kind_are_read(self):
        found = wishes(a='CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C="x \\"y\\" # z"  \r\nCONFIG_D=0x10\n# a comment\n\n')
        self.assertEqual([(r.name, r.value, r.place.line) for r in found.requests],
                         [("A", "y", 1), ("B", "n", 2), ("C", '"x \\"y\\" # z"', 3), ("D", "0x10", 4)])
        self.assertEqual(found.faults, [])

    def test_what_is_no_line_is_said_with_what_was_meant(self):
        for line, meant in [("CONFIG_A = y", "CONFIG_A=y"), ("A=yes", "CONFIG_A=y"), ("config_a=off", "CONFIG_A=n"),
                            ("CONFIG_A=y # why", "CONFIG_A=y, with the comment"), ("CONFIG_A", "CONFIG_X=y"),
                            ("CONFIG_A=text", 'CONFIG_A="text"'), ("#CONFIG_A is not set", "exactly # CONFIG_X"),
                            ("# CONFIG_A is not set!", "exactly"), ("# CONFIG_A  is not set", "exactly")]:
            fault, = wishes(a=line).faults
            self.assertEqual(fault.status, "syntax", line)
            self.assertIn(meant, fault.remedy, line)

    def test_a_contradiction_names_both_and_an_override_is_none(self):
        fault, = wishes(a="CONFIG_A=y", b="\nCONFIG_A=n").faults
        self.assertEqual((str(fault.place), fault.status), ("b:2", "contradiction"))
        self.assertIn("a:1", fault.cause)
        self.assertEqual(wishes(a="CONFIG_A=y", b="# override: slow\nCONFIG_A=n").faults, [])
        self.assertEqual(len(wishes(a="CONFIG_A=y", b="# override: slow\n\nCONFIG_A=n").faults), 1)
        self.assertEqual(wishes(a="CONFIG_A=y", b="CONFIG_A=y").faults, [])
        self.assertEqual(wishes(a="CONFIG_A=y", b="# override:\nCONFIG_A=n").faults[0].status, "syntax")

    def test_a_fragment_without_an_option_is_a_fault(self):
        self.assertEqual([f.status for f in wishes(a="# CONFIG_A=y\n").faults], ["empty"])

    def test_values_are_compared_by_meaning(self):
        for wanted, got, equal in [("n", None, True), ("y", None, False), ("0x10", "0x010", True), ("16", "0x10", True),
                                   ("y", "m", False), ('"a"', '"a"', True), ('"a"', '"A"', False)]:
            self.assertEqual(same(wanted, got), equal, (wanted, got))

    def test_requests_replace_lines_of_the_base(self):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/.config"
            with open(path, "w", encoding="utf-8") as file:
                file.write("# head\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_AB=y\n")
            kernel.merge(path, wishes(a="# CONFIG_A is not set\nCONFIG_B=m").requests)
            self.assertEqual(kernel.values(path), {"AB": "y", "A": "n", "B": "m"})


class Explanations(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        with open(f"{cls.folder.name}/Kconfig", "w", encoding="utf-8") as file:
            file.write(KCONFIG)

    def tree(self, result):
        """The tree, loaded with a result."""
        tools = types.SimpleNamespace(source=self.folder.name, arch="x86_64", srcarch="x86")
        tree = Tree(tools, f"{self.folder.name}/work")
        path = f"{self.folder.name}/config"
        with open(path, "w", encoding="utf-8") as file:
            file.write(result)
        tree.load(path)
        return tree

    def cause(self, name, wanted, result="", fragments=""):
        """(status, cause, remedy) of an option, with the rest of a result."""
        tree = self.tree(result)
        known = {symbol.name for symbol in tree.unique_defined_syms}
        asked = wishes(a=fragments or "CONFIG_NET=y").effective()
        symbol = tree.symbol(name)
        return Causes(tree, Names(known), Remedies(tree, asked), asked).of(name, wanted, symbol.str_value if symbol else "n")

    def test_a_dependency_is_named_with_its_place_and_what_meets_it(self):
        status, cause, remedy = self.cause("DEEP", "y", "CONFIG_TINY=y\n")
        self.assertEqual(status, "dependency")
        self.assertIn("Kconfig:9 needs NET (n), !TINY", cause)
        self.assertEqual(remedy, "add CONFIG_NET=y, CONFIG_TINY=n")

    def test_a_remedy_says_which_line_it_goes_against(self):
        _, cause, remedy = self.cause("DEEP", "y", "", "# CONFIG_NET is not set")
        self.assertIn("CONFIG_NET is off by a:1", cause)
        self.assertEqual(remedy, "add CONFIG_NET=y (against a:1)")

    def test_a_select_is_named(self):
        status, cause, _ = self.cause("HELPER", "n", "CONFIG_USER=y\n", "CONFIG_USER=y")
        self.assertEqual(status, "select")
        self.assertIn("USER (CONFIG_USER by a:1)", cause)

    def test_what_has_no_prompt_names_what_selects_it(self):
        status, cause, remedy = self.cause("HELPER", "y")
        self.assertEqual(status, "invisible")
        self.assertIn("others select it: USER", cause)
        self.assertIn("CONFIG_USER=y", remedy)

    def test_the_winner_of_a_choice_is_named(self):
        status, cause, _ = self.cause("SLOW", "y", "CONFIG_FAST=y\n", "CONFIG_FAST=y")
        self.assertEqual(status, "choice")
        self.assertIn("CONFIG_FAST is taken, asked for by a:1", cause)
        self.assertEqual(self.cause("FAST", "n", "CONFIG_FAST=y\n")[0], "choice")

    def test_types_and_ranges(self):
        self.assertEqual(self.cause("NET", "m")[0], "type")
        self.assertEqual(self.cause("NAME", "y")[0], "type")
        self.assertEqual(self.cause("SIZE", '"4"')[0], "type")
        self.assertIn("4 to 8", self.cause("SIZE", "9")[1])

    def test_modules_that_become_part_of_the_kernel(self):
        self.assertEqual(self.cause("DRIVER", "m", "CONFIG_DRIVER=y\n")[0], "promoted")

    def test_what_the_compiler_lacks_is_said(self):
        self.assertIn("needs HAS_FLAG (n)", self.cause("FLAGGED", "y")[1])
        status, cause, _ = self.cause("TESTED", "y")
        self.assertEqual(status, "tools")
        self.assertRegex(cause, r"the test at Kconfig:\d+ fails")

    def test_names(self):
        self.assertIn("CONFIG_NAMED_THING", self.cause("NAMED_THINGS", "y")[2])
        self.assertIn("CONFIG_NAMED_THING", self.cause("THING", "y")[2])
        self.assertEqual(self.cause("DEVKMEM", "y")[0], "removed")

    def test_trying_a_remedy_leaves_no_trace(self):
        tree = self.tree("CONFIG_TINY=y\nCONFIG_SLOW=y\n")
        before = [symbol.config_string for symbol in tree.unique_defined_syms]
        self.assertIsNotNone(Remedies(tree, {}).find(tree.symbol("DEEP"), 2))
        self.assertIsNotNone(Remedies(tree, {}).find(tree.symbol("FAST"), 2))
        self.assertEqual(before, [symbol.config_string for symbol in tree.unique_defined_syms])


if __name__ == "__main__":
    unittest.main()
