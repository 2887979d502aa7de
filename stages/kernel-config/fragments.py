"""Fragments: what is asked of a kernel's configuration, by which file and line, and what is wrong with the asking."""

import re
from dataclasses import dataclass, field

SYMBOL = r"CONFIG_([A-Za-z0-9_]+)"
ASSIGNMENT = re.compile(SYMBOL + r"=(.*)$")
UNSET = re.compile(r"# " + SYMBOL + r" is not set$")
VALUE = re.compile(r'(?:[ymn]|-?\d+|0[xX][0-9a-fA-F]+|"(?:[^"\\]|\\.)*")$')
MARKER = re.compile(r"#\s*(override|optional):\s*(\S.*)?$")
# A comment that was probably meant as `# CONFIG_X is not set`.
NEARLY_UNSET = re.compile(r"#\s*(?:CONFIG_)?[A-Z0-9_]+\s+(?:is|are)\s+not\s+set\b", re.IGNORECASE)


@dataclass(frozen=True)
class Place:
    """A line of a fragment; line 0 is the fragment as a whole."""

    fragment: str
    line: int

    def __str__(self):
        return f"{self.fragment}:{self.line}" if self.line else self.fragment


@dataclass
class Request:
    """One option as a fragment asks for it. `value` is as in .config, and n for one that shall be off."""

    name: str
    value: str
    place: Place
    # `# override: reason` above it: it may say otherwise than a line before it.
    override: bool = False
    # `# optional: reason` above it: a kernel that does not know it is as good.
    optional: bool = False

    @property
    def line(self):
        """As .config has it."""
        return f"# CONFIG_{self.name} is not set" if self.value == "n" else f"CONFIG_{self.name}={self.value}"


@dataclass
class Fault:
    """Something asked for that the result does not have, or that can't be asked for."""

    place: Place
    status: str
    cause: str
    remedy: str
    name: str | None = None
    wanted: str | None = None
    got: str | None = None

    def __str__(self):
        if self.name is None:
            return f"{self.place}: {self.cause}; {self.remedy}"
        return f"{self.place}: CONFIG_{self.name}: asked {self.wanted}, got {self.got}: {self.cause}; {self.remedy}"


@dataclass
class Wishes:
    """Everything that is asked for, in order, and what was wrong with it."""

    requests: list = field(default_factory=list)
    faults: list = field(default_factory=list)

    def read(self, fragment, text):
        """Adds a fragment. One without any request is a fault, unless its lines have faults of their own."""
        before = len(self.requests) + len(self.faults)
        marks = set()
        for number, line in enumerate(text.splitlines(), 1):
            line = line.rstrip()
            place = Place(fragment, number)
            marker = MARKER.match(line)
            if marker:
                self._mark(marker, place, marks)
                continue
            self._line(line, place, marks)
            marks = set()
        if len(self.requests) + len(self.faults) == before:
            self.faults.append(Fault(
                Place(fragment, 0), "empty", "the fragment asks for nothing",
                "write options as CONFIG_X=y, or leave the fragment out"))

    def _mark(self, marker, place, marks):
        word, reason = marker.groups()
        marks.add(word)
        if not reason:
            self.faults.append(Fault(
                place, "syntax", f"“# {word}:” gives no reason", f"write # {word}: and why, in the same line"))

    def _line(self, line, place, marks):
        assignment, unset = ASSIGNMENT.match(line), UNSET.match(line)
        if assignment and VALUE.match(assignment[2]):
            self._add(assignment[1], assignment[2], place, marks)
        elif unset:
            self._add(unset[1], "n", place, marks)
        elif NEARLY_UNSET.match(line):
            self._malformed(line, place, "an option is turned off by a line that is exactly # CONFIG_X is not set")
        elif line and not line.startswith("#"):
            self._malformed(line, place, self._advice(line))

    def _add(self, name, value, place, marks):
        self.requests.append(Request(name, value, place, "override" in marks, "optional" in marks))

    def _malformed(self, line, place, advice):
        self.faults.append(Fault(place, "syntax", f"“{line}” is no line of a fragment", advice))

    @staticmethod
    def _advice(line):
        """What was probably meant by a line that is none."""
        spaced = re.match(r"\s*(?:CONFIG_)?([A-Za-z0-9_]+)\s*[=:]\s*(.*?)\s*$", line)
        name, value = (spaced[1], spaced[2]) if spaced else (None, None)
        if name and re.match(r"CONFIG$", name, re.IGNORECASE):
            name = None
        if name:
            name = re.sub(r"^CONFIG_", "", name, flags=re.IGNORECASE).upper()
            bare = re.sub(r"\s*#.*$", "", value)
            word = {"yes": "y", "true": "y", "on": "y", "no": "n", "false": "n", "off": "n", "module": "m"}.get(
                bare.lower(), bare.lower() if bare.lower() in ("y", "m", "n") else bare)
            if VALUE.match(word):
                comment = ", with the comment in a line of its own" if bare != value else ""
                return f"write CONFIG_{name}={word}{comment}"
            if bare and '"' not in bare:
                return f'write CONFIG_{name}=y, m, n or a number, or CONFIG_{name}="{bare}" for a text'
        return "write CONFIG_X=y, m, n, a number or a \"text\", or # CONFIG_X is not set"

    def contradictions(self):
        """Faults of options that are asked for twice with different values, where the later line does not say so."""
        last = {}
        for request in self.requests:
            earlier = last.get(request.name)
            if earlier and earlier.value != request.value and not request.override:
                self.faults.append(Fault(
                    request.place, "contradiction", f"contradiction: {earlier.place} asks for {earlier.value}",
                    "remove one of the two, or write “# override: why” above this line",
                    request.name, request.value))
            last[request.name] = request

    def effective(self):
        """The request that counts for each option, by name: the last."""
        return {request.name: request for request in self.requests}


def same(wanted, got):
    """Whether a value of the result is what was asked for. `got` is None for an option that the result lacks."""
    if got is None or got == "n":
        return wanted == "n"
    if wanted == got:
        return True
    try:
        return int(wanted, 0) == int(got, 0)
    except ValueError:
        return False
