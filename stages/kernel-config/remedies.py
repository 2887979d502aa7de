"""What would have to be set for an option to get what is asked: found in the tree's dependencies, and tried there."""

import time

from tree import AND, EQUAL, LETTER, NOT, OR, Choice, Symbol, could_select, is_switch, level, prompts, terms

# Beyond this the way is no longer one that a line could tell.
MOST = 12
DEPTH = 8
WIDTH = 16


class Remedies:
    """Finds remedies, for so many seconds; after that it finds none, so that many faults take no longer than one."""

    def __init__(self, tree, asked, seconds=1.5):
        self.tree = tree
        self.asked = asked
        self.left = seconds

    def find(self, symbol, want):
        """Options that give a symbol the level when they are set before it, as [(symbol, value)]; None if none is known.
        What is given was tried."""
        started = time.monotonic()
        try:
            if self.left <= 0:
                return None
            plan = self._symbol(symbol, want, ())
            if plan is None or len(plan) > MOST:
                return None
            steps = list(plan.items())
            return self._fewest(symbol, want, steps) if self._works(symbol, want, steps) else None
        finally:
            self.left -= time.monotonic() - started

    def shown(self, symbol):
        """Likewise, for a prompt to be seen: what must be on for a symbol to be settable at all."""
        started = time.monotonic()
        try:
            if self.left <= 0:
                return None
            plan = self._cheapest([self._met(condition, 1, ()) for condition in prompts(symbol)])
            return list(plan.items()) if plan and len(plan) <= MOST else None
        finally:
            self.left -= time.monotonic() - started

    # Plans: what to set, in order, as {symbol: value}. None: there is no way.

    def _symbol(self, symbol, want, path):
        if level(symbol) >= want:
            return {}
        if symbol in path or len(path) > DEPTH or symbol.is_constant or not symbol.nodes or not is_switch(symbol):
            return None
        path += (symbol,)
        plans = [self._set(symbol, want, condition, path) for condition in prompts(symbol)]
        if not any(plan is not None for plan in plans):
            plans += [self._met(term, want, path) for term in self._likely(symbol)]
            plans += [self._met((AND, value, condition), want, path) for value, condition in symbol.defaults[:WIDTH]]
        return self._cheapest(plans)

    @staticmethod
    def _likely(symbol):
        """What could select a symbol: what is named like it (VIRTIO_PCI for VIRTIO), or else anything."""
        found = could_select(symbol)
        alike = [term for selector, term in found if selector.name.startswith(symbol.name + "_")]
        return (alike or [term for _, term in found])[:WIDTH]

    def _set(self, symbol, want, condition, path):
        plan = self._both(self._met(condition, want, path), self._met(symbol.direct_dep, want, path))
        return None if plan is None else {**plan, symbol: LETTER[want]}

    def _met(self, expression, want, path):
        if level(expression) >= want:
            return {}
        if isinstance(expression, Symbol):
            return self._symbol(expression, want, path)
        if isinstance(expression, Choice):
            return self._met(expression.direct_dep, want, path)
        if expression[0] is AND:
            return self._both(self._met(expression[1], want, path), self._met(expression[2], want, path))
        if expression[0] is OR:
            return self._cheapest([self._met(term, want, path) for term in terms(expression, OR)[:WIDTH]])
        return self._other(expression)

    @staticmethod
    def _other(expression):
        """!X and X=value, for an X that can be set."""
        if expression[0] is NOT and isinstance(expression[1], Symbol):
            symbol, value = expression[1], "n"
        elif expression[0] is EQUAL and isinstance(expression[1], Symbol) and isinstance(expression[2], Symbol):
            symbol, value = expression[1], expression[2].name
        else:
            return None
        free = any(level(condition) for condition in prompts(symbol)) and not (value == "n" and level(symbol.rev_dep))
        return {symbol: value} if free and symbol.nodes else None

    @staticmethod
    def _both(one, other):
        if one is None or other is None or any(other.get(symbol, value) != value for symbol, value in one.items()):
            return None
        return {**one, **other}

    def _cheapest(self, plans):
        """The one that goes against least of what is asked for, and of those the shortest."""
        known = [plan for plan in plans if plan is not None]
        return min(known, key=lambda plan: (self._conflicts(plan), len(plan)), default=None)

    def _conflicts(self, plan):
        return sum(symbol.name in self.asked and self.asked[symbol.name].value != value
                   for symbol, value in plan.items())

    # Trying

    def _works(self, symbol, want, steps):
        before = []
        try:
            for item, value in [*steps, (symbol, LETTER[want])]:
                before.append((item, item.user_value, item.choice and item.choice.user_selection))
                item.set_value(value)
            return level(symbol) == want
        finally:
            for item, value, selection in reversed(before):
                restore(item, value, selection)

    def _fewest(self, symbol, want, steps):
        """Without the steps that follow from the others, and without the option itself."""
        steps = [step for step in steps if step[0] is not symbol]
        for step in list(steps):
            fewer = [other for other in steps if other is not step]
            if self._works(symbol, want, fewer):
                steps = fewer
        return steps


def restore(symbol, value, selection):
    """Gives a symbol back the value that was set before."""
    if symbol.choice and symbol.choice.user_selection is not selection:
        if selection is not None:
            selection.set_value(2)
        else:
            symbol.choice.unset_value()
    if value is None:
        symbol.unset_value()
    else:
        symbol.set_value(LETTER[value] if isinstance(value, int) else value)
