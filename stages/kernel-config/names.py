"""Names of options that a kernel does not know: what they were, and what was probably meant."""

import difflib
import os

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "renames.txt")


class Names:
    """Known changes of names, and the names of one kernel."""

    def __init__(self, known, table=TABLE):
        self.known = known
        self.old, self.new = {}, {}
        with open(table, encoding="utf-8") as lines:
            for line in lines:
                line = line.split("#")[0].strip()
                if line:
                    old, new, version, *note = line.split(None, 3)
                    entry = (old, None if new == "-" else new, version, note[0] if note else "")
                    self.old[old] = entry
                    if entry[1] and entry[1] not in self.new:
                        self.new[entry[1]] = entry

    def explain(self, name):
        """(status, cause, remedy) of a name that the kernel does not have."""
        if name in self.old:
            _, new, version, note = self.old[name]
            note = f" ({note})" if note else ""
            if new is None:
                return "removed", f"no such option any more: removed in linux {version}{note}", "remove the line"
            if new in self.known:
                return "renamed", f"no such option any more: since linux {version} it is CONFIG_{new}{note}", \
                    f"write CONFIG_{new}"
        if name in self.new:
            old, _, version, _ = self.new[name]
            if old in self.known:
                return "renamed", f"no such option yet: before linux {version} it is CONFIG_{old}", \
                    f"write CONFIG_{old}"
        near = self.nearest(name)
        if near:
            return "unknown", "no such option in this kernel", \
                "did you mean " + ", ".join(f"CONFIG_{other}" for other in near) + "?"
        return "unknown", "no such option in this kernel, and none with a name like it", "remove the line"

    def nearest(self, name, most=3):
        """Names of the kernel that look like one, the likeliest first."""
        parts = [part for part in name.split("_") if len(part) > 2]
        ends = sorted((other for other in self.known if other.endswith("_" + name) or name.endswith("_" + other)
                       and len(other) > len(name) / 2), key=lambda other: (abs(len(other) - len(name)), other))
        alike = [other for other in self.known
                 if abs(len(other) - len(name)) <= 4 and (other[:2] == name[:2] or any(part in other for part in parts))]
        close = difflib.get_close_matches(name, sorted(alike), n=most, cutoff=0.75)
        return list(dict.fromkeys(close[:1] + ends[:most] + close))[:most]
