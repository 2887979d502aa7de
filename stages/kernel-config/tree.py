"""The kernel's Kconfig tree as kconfiglib reads it. It explains; the kernel's own tools decide."""

import io
import os
import re

import subprocess

import kconfiglib
from kconfiglib import AND, BOOL, EQUAL, HEX, INT, NOT, OR, STRING, TRISTATE, Choice, Symbol, expr_value, split_expr

LEVEL = {"n": 0, "m": 1, "y": 2}
LETTER = "nmy"
# Properties that kconfiglib 14.1 does not know, as it knows them.
NEWER = [
    (re.compile(r"^(\s+)modules[ \t]*$", re.MULTILINE), r"\1option modules"),
    (re.compile(r"^\s+transitional[ \t]*$", re.MULTILINE), ""),
]
WORDS = {BOOL: "y or n", TRISTATE: "y, m or n", STRING: "a text", INT: "a number", HEX: "a hexadecimal number"}


class Tree(kconfiglib.Kconfig):
    """The tree of a source, read in a directory of its own: the compiler's tests leave files."""

    def __init__(self, kernel, directory):
        os.makedirs(directory, exist_ok=True)
        os.chdir(directory)
        os.environ.update({
            "srctree": kernel.source, "ARCH": kernel.arch, "SRCARCH": kernel.srcarch, "KERNELVERSION": "",
            "CC": "gcc", "CPP": "gcc -E", "LD": "ld", "AR": "ar", "NM": "nm", "OBJCOPY": "objcopy",
            "OBJDUMP": "objdump", "READELF": "readelf", "STRIP": "strip", "HOSTCC": "gcc", "HOSTCXX": "g++", "PAHOLE": "pahole",
            "RUSTC": "rustc", "BINDGEN": "bindgen", "PYTHON3": "python3", "PERL": "perl", "CONFIG_SHELL": "sh",
            "CC_VERSION_TEXT": "", "CLANG_FLAGS": "", "RUSTC_VERSION_TEXT": "",
        })
        # Tests of the compiler and linker, by the place that asks for them.
        self.tests = []
        run = kconfiglib._shell_fn
        kconfiglib._shell_fn = lambda tree, name, command: self._shell(run, name, command)
        super().__init__("Kconfig", warn=False)
        kconfiglib._shell_fn = run

    def _shell(self, run, name, command):
        """Tests count as passed: there are about ninety, the kernel's own tools have made them, and `load` takes their
        word for it."""
        if command.startswith("{ test ") or not command.rstrip().endswith('&& echo "y" || echo "n"'):
            return run(self, name, command)
        self.tests.append((self.filename, self.linenr, command))
        return "y"

    def load(self, config):
        """Loads a result. Where options without a prompt come out otherwise here, what the result says holds."""
        self.load_config(config)
        with open(config, encoding="utf-8", errors="replace") as file:
            on = set(re.findall(r"^CONFIG_(\w+)=y$", file.read(), re.MULTILINE))
        for _ in range(3):
            wrong = [symbol for symbol in self.unique_defined_syms
                     if symbol.orig_type is BOOL and (symbol.tri_value == 2) != (symbol.name in on)
                     and not prompts(symbol)]
            for symbol in wrong:
                symbol.defaults = [(self.y if symbol.name in on else self.n, self.y)]
            self._invalidate_all()

    def failed_test(self, symbol):
        """The place of a test in a symbol's definition that the tools here do not pass; None if they pass all."""
        for node in symbol.nodes:
            later = [other.linenr for other in self.node_iter()
                     if other.filename == node.filename and other.linenr > node.linenr]
            for filename, line, command in self.tests:
                if filename == node.filename and node.linenr <= line < min(later, default=line + 1):
                    done = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                          text=True, check=False)
                    if done.stdout.strip() != "y":
                        return f"{filename}:{line}"
        return None

    def _open(self, filename, mode):
        file = super()._open(filename, mode)
        if mode != "r" or "Kconfig" not in os.path.basename(filename):
            return file
        with file:
            text = file.read()
        for pattern, known in NEWER:
            text = pattern.sub(known, text)
        return io.StringIO(text)

    def symbol(self, name):
        """A symbol that the tree defines; None if it does not."""
        found = self.syms.get(name)
        return found if found is not None and found.nodes else None


def level(item):
    """0 for n, 1 for m, 2 for y."""
    return expr_value(item)


def place(symbol):
    """Where a symbol or choice is defined: net/Kconfig:188."""
    node = symbol.nodes[0]
    return f"{node.filename}:{node.linenr}"


def title(choice):
    """What menus call a choice."""
    for node in choice.nodes:
        if node.prompt:
            return node.prompt[0]
    return choice.name or "a choice"


def prompts(symbol):
    """The conditions under which a symbol can be set, one for each prompt."""
    return [node.prompt[1] for node in symbol.nodes if node.prompt]


def terms(expression, operator):
    """The parts of an expression that an operator joins."""
    return split_expr(expression, operator)


def text(expression):
    """An expression as people write it."""
    return kconfiglib.expr_str(expression, lambda item: item.name if isinstance(item, Symbol) else f"“{title(item)}”")


def unmet(expression, want):
    """What of an expression is below a level, each as text with what it is now: `NET (n)`."""
    if level(expression) >= want:
        return []
    if isinstance(expression, tuple) and expression[0] is AND:
        return unique(unmet(expression[1], want) + unmet(expression[2], want))
    return [f"{text(expression)} ({LETTER[level(expression)]})"] if isinstance(expression, (Symbol, Choice)) \
        else [alternatives(expression)]


def alternatives(expression):
    """A condition that is no plain option, shortened: some have dozens of alternatives."""
    parts = [text(part) for part in terms(expression, OR)]
    if len(parts) == 1:
        return parts[0]
    more = f" or {len(parts) - 4} others" if len(parts) > 4 else ""
    return "(" + " or ".join(parts[:4]) + more + ")"


def unique(items):
    return list(dict.fromkeys(items))


def selectors(symbol, least):
    """The symbols whose select makes a symbol at least `least` now."""
    found = []
    for term in terms(symbol.rev_dep, OR):
        if level(term) >= least:
            first = terms(term, AND)[0]
            if isinstance(first, Symbol):
                found.append(first)
    return unique(found)


def could_select(symbol):
    """Every (selector, term) that could turn a symbol on."""
    found = []
    for term in terms(symbol.rev_dep, OR):
        first = terms(term, AND)[0]
        if isinstance(first, Symbol) and first.nodes:
            found.append((first, term))
    return found


def bounds(symbol):
    """The range of a number that holds now, as texts; None if any will do."""
    for low, high, condition in symbol.ranges:
        if level(condition):
            return low.str_value, high.str_value
    return None


def is_switch(symbol):
    return symbol.orig_type in (BOOL, TRISTATE)
