"""The kernel's own menuconfig on the terminal, and what it changed as a fragment."""

import os
import subprocess
import sys

import kconfiglib

import kernel
from fragments import Request, same
from tree import is_switch, prompts

HEADER = "# Purpose: what forge kernel menuconfig changed.\n"


def edit(tools, tree, wishes, target):
    """Lets the terminal change .config; writes the fragment to `target`, or nothing if nothing was changed."""
    before = kernel.values(tools.config)
    command = [*tools.command("menuconfig"), "-s"]
    # Lines as characters that a UTF-8 terminal draws.
    environment = {**tools.environment, "TERM": terminal(os.environ.get("TERM", "dumb")), "NCURSES_NO_UTF8_ACS": "1"}
    if subprocess.run(command, env=environment, check=False).returncode:
        raise kernel.Broken("menuconfig failed")
    after = kernel.values(tools.config)
    if after == before:
        return
    requests = difference(tree, before, after)
    confirm(tools, before, after, requests)
    with open(target, "w", encoding="utf-8") as out:
        out.write(fragment(requests, wishes))


def terminal(name):
    """A terminal that the build root knows: what is drawn is plain enough for the oldest."""
    known = subprocess.run(["tput", "-T", name, "longname"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           check=False).returncode == 0
    return name if known and name != "dumb" else "vt100"


def difference(tree, before, after):
    """The options that make `after` of `before`, without those that follow from others: in the order of the menus, each
    is set where the ones set so far do not give it by themselves."""
    requests = []
    for symbol in tree.unique_defined_syms:
        name = symbol.name
        if before.get(name) == after.get(name) or not prompts(symbol) or name not in after:
            continue
        wanted = after[name]
        if is_switch(symbol) and symbol.str_value == wanted or not is_switch(symbol) and same(wanted, written(symbol)):
            continue
        requests.append(Request(name, wanted, None))
        symbol.set_value(kconfiglib.unescape(wanted[1:-1]) if wanted.startswith(chr(34)) else wanted)
    return requests


def written(symbol):
    """A text or number as .config has it."""
    text = symbol.config_string.strip()
    return text.split("=", 1)[1] if "=" in text else None


def confirm(tools, before, after, requests):
    """The fragment must give what menuconfig gave, by the kernel's own word; else everything that changed goes into it."""
    with open(tools.config, "w", encoding="utf-8") as out:
        out.writelines(Request(name, value, None).line + "\n" for name, value in before.items())
    if tools.finish(requests) == after:
        return
    asked = {request.name for request in requests}
    requests += [Request(name, value, None) for name, value in sorted(after.items())
                 if before.get(name) != value and name not in asked]


def fragment(requests, wishes):
    """The text of a fragment; what others ask for otherwise is marked as overriding them."""
    asked = wishes.effective()
    lines = [HEADER]
    for request in requests:
        earlier = asked.get(request.name)
        if earlier and earlier.value != request.value:
            if earlier.place.fragment.startswith("options["):
                print(f"CONFIG_{request.name}: {earlier.place} of the recipe comes after all fragments: change it there",
                      file=sys.stderr)
            lines.append(f"# override: changed by hand ({earlier.place} asks for {earlier.value})\n")
        lines.append(request.line + "\n")
    return "".join(lines)
