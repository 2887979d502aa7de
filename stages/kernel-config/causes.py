"""Why an option is not what was asked for. The tree is loaded with the result: every condition is as it came out."""

import re

from tree import BOOL, HEX, INT, LEVEL, STRING, TRISTATE, WORDS, bounds, could_select, is_switch, level
from tree import place, prompts, selectors, title, unmet, unique


class Unexplained:
    """For a tree that kconfiglib can't read: what differs is found all the same, but not why."""

    def __init__(self, error, names, asked):
        self.error = str(error).split("\n", maxsplit=1)[0]
        self.names = names
        self.asked = asked

    def of(self, name, wanted, got):
        if name not in self.names.known:
            return self.names.explain(name)
        return "lost", f"kconfiglib can't read this kernel's tree, so the reason is not known ({self.error})", \
            "look at it in forge kernel menuconfig (/ finds an option)"


class Causes:
    """Explains one option after the other: (status, cause, remedy)."""

    def __init__(self, tree, names, remedies, asked):
        self.tree = tree
        self.names = names
        self.remedies = remedies
        # The request that counts for each option, by name.
        self.asked = asked

    def of(self, name, wanted, got):
        symbol = self.tree.symbol(name)
        if symbol is None:
            return self.names.explain(name)
        wrong = self._type(symbol, wanted)
        if wrong:
            return wrong
        if not is_switch(symbol):
            return self._value(symbol, wanted)
        want, have = LEVEL[wanted], LEVEL.get(got, 0)
        return self._lower(symbol, want) if have < want else self._higher(symbol, want, have)

    # What does not fit the option's type

    def _type(self, symbol, wanted):
        kind = symbol.orig_type
        if kind in (BOOL, TRISTATE):
            fits = wanted in LEVEL
            if wanted == "m" and kind is BOOL:
                return "type", f"it is no module: {place(symbol)} knows y and n only", "write y or n"
        elif kind is STRING:
            fits = wanted.startswith('"')
        elif kind is INT:
            fits = re.fullmatch(r"-?\d+", wanted)
        else:
            fits = re.fullmatch(r"(0[xX])?[0-9a-fA-F]+", wanted) and wanted not in LEVEL
        if fits:
            return self._range(symbol, wanted) if kind in (INT, HEX) else None
        if wanted == "n":
            return "type", f"it holds {WORDS[kind]} and can't be turned off ({place(symbol)})", "remove the line"
        example = f'write CONFIG_{symbol.name}="{wanted}"' if kind is STRING else f"write {WORDS[kind]}"
        return "type", f"wrong type: it holds {WORDS[kind]} ({place(symbol)})", example

    @staticmethod
    def _range(symbol, wanted):
        found = bounds(symbol)
        if not found:
            return None
        base = 10 if symbol.orig_type is INT else 16
        low, high = (int(bound, base) for bound in found)
        if low <= int(wanted, base) <= high:
            return None
        return "range", f"out of range: {found[0]} to {found[1]} ({place(symbol)})", \
            f"choose a number from {found[0]} to {found[1]}"

    def _value(self, symbol, wanted):
        """A text or number of the right kind that did not come out."""
        conditions = prompts(symbol)
        if not conditions:
            return "invisible", f"it has no prompt: {place(symbol)} computes it", "remove the line"
        missing = self._missing(symbol, conditions, 2)
        if missing:
            return self._dependency(symbol, missing, LEVEL["y"], wanted)
        return self._undecided(symbol)

    # Less than asked for

    def _lower(self, symbol, want):
        missing = unmet(symbol.direct_dep, want)
        if missing:
            return self._dependency(symbol, missing, want)
        if symbol.choice and symbol.choice.selection not in (symbol, None):
            return self._lost_choice(symbol)
        conditions = prompts(symbol)
        if not conditions:
            return self._no_prompt(symbol, want)
        missing = self._missing(symbol, conditions, want)
        if missing:
            return self._dependency(symbol, missing, want)
        return self._undecided(symbol)

    @staticmethod
    def _missing(symbol, conditions, want):
        """What keeps the prompt that is nearest to being seen from it."""
        return min((unmet(condition, want) for condition in conditions), key=len, default=[])

    def _dependency(self, symbol, missing, want, value=None):
        cause = f"unmet dependency: {place(symbol)} needs {self._many(missing)}{self._whose(missing)}"
        return "dependency", cause, self._remedy(symbol, want, value)

    def _whose(self, missing):
        """Which of the missing options a fragment has turned off."""
        said = []
        for item in missing:
            request = self.asked.get(re.sub(r" \(.\)$", "", item))
            if request and request.value == "n":
                said.append(f"CONFIG_{request.name} is off by {request.place}")
        return " – " + ", ".join(said) if said else ""

    def _remedy(self, symbol, want, value=None):
        steps = self.remedies.find(symbol, want) if is_switch(symbol) else self.remedies.shown(symbol)
        if steps:
            return "add " + ", ".join(self._step(item.name, value) for item, value in steps)
        return "set first what it needs, or remove the line" if steps is None \
            else "what it needs follows from the rest once the fragment is right"

    def _step(self, name, value):
        request = self.asked.get(name)
        against = f" (against {request.place})" if request and request.value != value else ""
        return f"CONFIG_{name}={value}{against}"

    def _lost_choice(self, symbol):
        choice, winner = symbol.choice, symbol.choice.selection
        request = self.asked.get(winner.name)
        by = f", asked for by {request.place}" if request and request.value != "n" else ", which the base has"
        return "choice", \
            f"one of the choice “{title(choice)}” ({place(choice)}), and CONFIG_{winner.name} is taken{by}", \
            f"ask for one of them: remove the line, or CONFIG_{winner.name}=y"

    def _no_prompt(self, symbol, want):
        cause = f"it can't be set: {place(symbol)} has no prompt"
        by = unique([selector.name for selector, _ in could_select(symbol)])
        if not by:
            return "invisible", f"{cause}, and nothing selects it", "remove the line"
        steps = self.remedies.find(symbol, want)
        if steps:
            return "invisible", f"{cause}; others select it: {self._many(by)}", \
                "ask for one of those instead, e.g. " + ", ".join(self._step(item.name, value) for item, value in steps)
        return "invisible", f"{cause}; others select it: {self._many(by)}", "ask for one of those instead"

    # More than asked for

    def _higher(self, symbol, want, have):
        by = selectors(symbol, want + 1)
        if by:
            names = [selector.name for selector in by]
            asked = [self.asked[name] for name in names if name in self.asked and self.asked[name].value != "n"]
            who = ", ".join(f"CONFIG_{request.name} by {request.place}" for request in asked[:3])
            who = f" ({who})" if who else ""
            turn = "it" if len(names) == 1 else "those"
            return "select", f"forced by the select of {self._many(names)}{who}", \
                f"turn {turn} off as well, or remove the line"
        if want == 1 and have == 2 and not level(self.tree.modules):
            return "promoted", "CONFIG_MODULES=n: without modules m becomes y", \
                f"write CONFIG_{symbol.name}=y, or turn on CONFIG_MODULES"
        if symbol.choice and symbol.choice.selection is symbol:
            others = [other.name for other in symbol.choice.syms if other is not symbol and other.visibility]
            return "choice", \
                f"the choice “{title(symbol.choice)}” ({place(symbol.choice)}) must have one, and takes this", \
                f"ask for another: {self._many(others)}" if others else "remove the line: there is no other"
        if not prompts(symbol):
            return "invisible", f"it has no prompt: {place(symbol)} turns it on by default", "remove the line"
        missing = self._missing(symbol, prompts(symbol), 1)
        if missing:
            steps = self.remedies.shown(symbol)
            remedy = "add " + ", ".join(self._step(item.name, value) for item, value in steps) if steps \
                else "remove the line"
            return "invisible", \
                f"on by default, and only with {self._many(missing)} can it be turned off ({place(symbol)})", remedy
        return self._undecided(symbol)

    def _undecided(self, symbol):
        failed = self.tree.failed_test(symbol)
        if failed:
            return "tools", f"the compiler or linker of the build root can't do it: the test at {failed} fails", \
                "remove the line"
        return "lost", f"the kernel's tools decided so, for a reason that is not known ({place(symbol)})", \
            "look at it in forge kernel menuconfig (/ finds an option)"

    @staticmethod
    def _many(items, most=4):
        items = list(items)
        more = f" and {len(items) - most} more" if len(items) > most else ""
        return ", ".join(items[:most]) + more
