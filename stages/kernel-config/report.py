"""What came of everything that was asked for: for people a line for each fault, for programs all of it as JSON."""

import json
import re

from fragments import SYMBOL, Fault, Place, same


def wish(text, fragment, number):
    """An item of `require` and `forbid`: (name, value or None for y and m, place), or a fault."""
    place = Place(f"{fragment}[{number}]", 0)
    match = re.fullmatch(SYMBOL + r"(?:=(.+))?", text)
    if match:
        return match[1], match[2], place
    return Fault(place, "syntax", f"“{text}” is no option", "write CONFIG_X, or CONFIG_X=value")


class Report:
    """Compares requests with the result, and has each that differs explained."""

    def __init__(self, result, causes):
        self.result = result
        self.causes = causes
        self.known = causes.names.known
        self.options = []
        self.faults = []

    def requests(self, wishes):
        """Everything that fragments ask for. Faults of the fragments themselves come as they are."""
        contradicted = {fault.place for fault in wishes.faults if fault.status == "contradiction"}
        effective = wishes.effective()
        for request in wishes.requests:
            got = self._got(request.name, request.value)
            if request.place in contradicted:
                fault = next(fault for fault in wishes.faults if fault.place == request.place)
                fault.got = got
                self._row(request, got, fault.status, fault)
            elif effective[request.name].value != request.value:
                self._row(request, got, "overridden", None)
            elif request.name not in self.known and request.optional:
                self._row(request, got, "absent", None)
            elif request.name in self.known and same(request.value, self.result.get(request.name)):
                self._row(request, got, "ok", None)
            else:
                status, cause, remedy = self.causes.of(request.name, request.value, got)
                fault = Fault(request.place, status, cause, remedy, request.name, request.value, got)
                self._row(request, got, status, fault)
        shown = [id(fault) for fault in self.faults]
        self.faults += [fault for fault in wishes.faults if id(fault) not in shown]

    def required(self, texts):
        for name, value, place in self._wishes(texts, "require"):
            have = self.result.get(name)
            good = same(value, have) if value else have in ("y", "m")
            if good:
                self._plain(name, value or "y", have, place, "ok")
                continue
            got = self._got(name, value or "y")
            status, cause, remedy = self.causes.of(name, value or "y", got)
            request = self.causes.asked.get(name)
            if request and not same(value or "y", request.value):
                status, cause, remedy = "required", f"{request.place} asks for {request.value}", "correct it there"
            elif status == "lost":
                status, cause = "required", "nothing asks for it"
                remedy = f"add CONFIG_{name}={value or 'y'} to a fragment"
            self._plain(name, value or "y", got, place, status, cause, remedy)

    def forbidden(self, texts):
        for name, value, place in self._wishes(texts, "forbid"):
            have = self.result.get(name)
            bad = same(value, have) if value else have in ("y", "m")
            wanted = f"anything but {value}" if value else "n"
            if name not in self.known:
                self._plain(name, wanted, "n", place, *self.causes.names.explain(name))
            elif not bad:
                self._plain(name, wanted, self._got(name, "n"), place, "ok")
            else:
                self._plain(name, wanted, have, place, "forbidden", *self._origin(name, value, have))

    def _origin(self, name, value, have):
        """Who has turned on what is forbidden."""
        request = self.causes.asked.get(name)
        if request and request.value != "n":
            return f"forbidden, but {request.place} asks for it", f"remove CONFIG_{name} there"
        if value is None:
            status, cause, remedy = self.causes.of(name, "n", have)
            if status != "lost":
                return f"forbidden, but {cause}", remedy
        return "forbidden, but the base has it, and no fragment says otherwise", \
            f"add # CONFIG_{name} is not set to a fragment"

    def _wishes(self, texts, fragment):
        for number, text in enumerate(texts, 1):
            found = wish(text, fragment, number)
            if isinstance(found, Fault):
                self.faults.append(found)
            else:
                yield found

    def _got(self, name, wanted):
        """The result as people read it: an option that it lacks is n, or nothing where a text or number was asked for."""
        got = self.result.get(name)
        if got is None:
            return "n" if wanted in ("y", "m", "n") else "nothing"
        return got

    def _row(self, request, got, status, fault):
        self._add(request.name, request.value, got, request.place, status, fault)

    def _plain(self, name, wanted, got, place, status, cause=None, remedy=None):
        fault = Fault(place, status, cause, remedy, name, wanted, got) if cause else None
        self._add(name, wanted, got, place, status, fault)

    def _add(self, name, wanted, got, place, status, fault):
        self.options.append({
            "option": f"CONFIG_{name}", "wanted": wanted, "got": got, "fragment": place.fragment, "line": place.line,
            "status": status, "cause": fault.cause if fault else None,
            "remedy": fault.remedy if fault else None,
        })
        if fault:
            self.faults.append(fault)

    def json(self, version, base, order):
        """- order: the fragments' names in order, by which faults are sorted."""
        ranks = {name: number for number, name in enumerate(order)}
        self.faults.sort(key=lambda fault: (ranks.get(fault.place.fragment, len(ranks)), fault.place.line))
        return json.dumps({
            "linux": version, "base": base, "requested": len(self.options), "faulty": len(self.faults),
            "options": self.options,
            "faults": [{
                "fragment": fault.place.fragment, "line": fault.place.line,
                "option": f"CONFIG_{fault.name}" if fault.name else None, "wanted": fault.wanted, "got": fault.got,
                "status": fault.status, "cause": fault.cause, "remedy": fault.remedy, "text": str(fault),
            } for fault in self.faults],
        }, ensure_ascii=False, indent=1) + "\n"
