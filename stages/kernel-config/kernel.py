"""The kernel's own tools: bases, merged configurations, and what they come to. Their result is the truth."""

import os
import re
import shutil
import subprocess

ARCHITECTURES = {"amd64": ("x86_64", "x86"), "arm64": ("arm64", "arm64")}


class Broken(Exception):
    """Something that keeps the stage from its work; the message is for people."""


class Kernel:
    """A source tree (of it only what configuring needs) and a build directory."""

    def __init__(self, source, build, architecture, jobs):
        if architecture not in ARCHITECTURES:
            raise Broken(f"no kernel can be configured for the architecture {architecture}")
        self.source = source
        self.build = build
        self.arch, self.srcarch = ARCHITECTURES[architecture]
        self.jobs = jobs
        self.environment = dict(os.environ)
        os.makedirs(build, exist_ok=True)

    @property
    def config(self):
        return f"{self.build}/.config"

    def command(self, target):
        """The command of a configuration target. The kernel's own tools are built on the way, quickly rather than well."""
        return ["make", "-C", self.source, f"O={self.build}", f"ARCH={self.arch}", f"-j{self.jobs}",
                "HOSTCFLAGS=-O0", "--no-print-directory", target]

    def make(self, target):
        made = subprocess.run(
            self.command(target), env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
        if made.returncode:
            raise Broken(f"make {target} failed:\n" + "\n".join(made.stdout.splitlines()[-20:]))

    def start(self, base, file):
        """Makes .config of a base: one of the kernel's own, which came with the source, or a file."""
        path = file if base == "file" else f"{self.source}/bases/{base}"
        if not os.path.exists(path):
            raise Broken(f"the source has no bases/{base}: is it the output kconfig of a stage kernel-source?")
        shutil.copyfile(path, self.config)
        if not values(self.config):
            raise Broken("the input base-config has no option")

    def finish(self, requests):
        """Puts requests over .config and lets the kernel make the rest.
        Returns what every option of the result is, by name."""
        merge(self.config, requests)
        self.make("olddefconfig")
        return values(self.config)


def merge(config, requests):
    """Requests over a .config, as the kernel's merge_config.sh does: what is asked for replaces what was there."""
    asked = {request.name for request in requests}
    kept = []
    with open(config, encoding="utf-8") as lines:
        for line in lines:
            name = option(line)
            if name is None or name[0] not in asked:
                kept.append(line)
    with open(config, "w", encoding="utf-8") as out:
        out.writelines(kept)
        out.writelines(request.line + "\n" for request in requests)


def declared(source):
    """The names of all options of a source, as its Kconfig files declare them."""
    names = set()
    for folder, _, files in os.walk(source):
        for name in files:
            if name.startswith("Kconfig"):
                with open(f"{folder}/{name}", encoding="utf-8", errors="replace") as file:
                    names.update(re.findall(r"^\s*(?:menu)?config\s+(\w+)", file.read(), re.MULTILINE))
    return names


def option(line):
    """(name, value) of a line of .config; None for any other line."""
    match = re.match(r"CONFIG_(\w+)=(.*)$", line)
    if match:
        return match[1], match[2]
    match = re.match(r"# CONFIG_(\w+) is not set$", line)
    return (match[1], "n") if match else None


def values(config):
    """Every option of a .config: name to value."""
    with open(config, encoding="utf-8", errors="replace") as lines:
        return dict(found for found in map(option, lines) if found)


def version(config):
    """The kernel's version, as the header of a .config gives it."""
    with open(config, encoding="utf-8") as lines:
        for line in lines:
            match = re.match(r"# Linux/\S+ (\S+) Kernel Configuration", line)
            if match:
                return match[1]
    return "?"
