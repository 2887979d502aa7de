#!/usr/bin/env python3
"""Runs a command on a pseudo terminal and uses the kernel's menuconfig there: finds an option, presses a key, saves.

ci/menuconfig.py OPTION KEY COMMAND…   exits with the command's status; KEY may be `quit` to change nothing."""

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time


class Screen:
    """What the command writes, and keys for it."""

    def __init__(self, command):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm")
            os.execvp(command[0], command)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.text = ""

    def read(self, seconds):
        """Whether there was anything; False at the end."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.text += re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|\([A-Z0-9])", "", data.decode("utf-8", "replace"))
        return bool(data)

    def wait(self, text, seconds=180):
        """Until a text shows up; what was before it is forgotten."""
        end = time.monotonic() + seconds
        while text not in self.text:
            if time.monotonic() > end or not self.read(1):
                sys.exit(f"“{text}” did not show up; the terminal has:\n{self.text[-3000:]}")
        self.text = self.text.split(text, 1)[1]

    def settle(self):
        """Until the screen has been at rest for a second. Whether the command still has the terminal."""
        while select.select([self.fd], [], [], 1)[0]:
            if not self.read(0):
                return False
        return True

    def press(self, keys):
        """Writes keys when everything that came before is drawn, and answered."""
        self.settle()
        os.write(self.fd, keys.encode())

    def end(self, seconds=180):
        """The command's status, once it ends."""
        limit = time.monotonic() + seconds
        while self.read(1):
            if time.monotonic() > limit:
                sys.exit(f"it does not end; the terminal has:\n{self.text[-3000:]}")
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def main():
    option, key, command = sys.argv[1], sys.argv[2], sys.argv[3:]
    screen = Screen(command)
    screen.wait("General setup")
    if key != "quit":
        screen.press("/")
        screen.wait("Search Configuration Parameter")
        screen.press(option + "\r")
        screen.wait("Symbol: " + option)
        screen.press("1")
        screen.press(key)
    # Out of the menus, one after the other; with a change there is a question at the end.
    for _ in range(20):
        if not screen.settle():
            break
        if "Do you wish to save" in screen.text:
            screen.press("\r")
            break
        screen.press("\x1b\x1b")
    status = screen.end()
    print(screen.text.replace("\r\n", "\n")[-2000:])
    sys.exit(status)


main()
