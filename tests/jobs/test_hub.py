"""What is fetched from a hub is told before; the hub is a server of this test that speaks its protocol."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LIB = Path(__file__).resolve().parents[2] / "lib"
HUB = """
import http.server, json, logging, os, pathlib, sys, threading
folder, commit = pathlib.Path(sys.argv[1]), "0123456789abcdef0123456789abcdef01234567"
files = sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file())

class Hub(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_GET(self, body=True):
        if "/tree/" in self.path:
            entries = [{"type": "file", "path": f, "size": (folder / f).stat().st_size, "oid": f} for f in files]
            content = json.dumps(entries).encode()
        elif self.path.startswith("/api/"):
            content = json.dumps({"id": "someone/small", "sha": commit, "siblings": [{"rfilename": f} for f in files]})
            content = content.encode()
        else:
            content = (folder / self.path.split(f"/resolve/{commit}/")[1]).read_bytes()
        self.send_response(200)
        self.send_header("ETag", f'"{len(content)}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body: self.wfile.write(content)
    def do_HEAD(self): self.do_GET(body=False)

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ.update(HF_ENDPOINT=f"http://127.0.0.1:{server.server_port}", HF_HUB_DISABLE_XET="1")
logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stdout)
logging.getLogger("spladelake").setLevel(logging.INFO)
from spladelake.encoder.hub import fetch
for _ in range(2):
    print(fetch("someone/small", None))
"""


def test_a_first_download_is_announced_with_its_size_and_a_second_is_none(tmp_path):
    (tmp_path / "hub").mkdir()
    for name, size in (("model.safetensors", 1_500_000), ("config.json", 500_000), ("pytorch_model.bin", 9_000_000)):
        (tmp_path / "hub" / name).write_bytes(b" " * size)
    env = {"PYTHONPATH": str(LIB), "HF_HOME": str(tmp_path / "cache"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    command = [sys.executable, "-c", HUB, str(tmp_path / "hub")]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 0, done.stderr
    first, folder, again = done.stdout.splitlines()
    assert first == "first use of someone/small: downloading 2 files (2.0 MB) from the Hugging Face hub"
    assert folder == again
    assert sorted(file.name for file in Path(folder).iterdir()) == ["config.json", "model.safetensors"]
