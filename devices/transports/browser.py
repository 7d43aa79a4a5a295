"""Headless Chromium as a device: LiteRT.js and ONNX Runtime Web run the files in WebAssembly.

A small server on this machine hands out the page, the runtimes, the job and the files, and takes the page's events.
Only whoever knows its random path gets an answer. The page is isolated (COOP and COEP), which gives it threads and a
clock of 5 us.
"""

import json
import os
import queue
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from ...errors import BadInput, EdgewrightError
from ..runtimes import environments
from . import shipment
from .local import Local
from .shell import EXIT, last_line
from .transport import GRACE_S, Conversation, Cores, DeviceLost, Event, Exit, Transport

NAME = "browser"
PACKAGES = ("@litertjs/core@2", "onnxruntime-web@1")
WATCH = shipment.PACKAGE / "watch.py"
PAGE = Path(__file__).with_name("templates")
_PAGES = {"page": PAGE / "browser.html", "browser.js": PAGE / "browser.js"}
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless=new", "--no-first-run", "--no-default-browser-check", "--disable-gpu", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-crash-reporter",
    "--disable-breakpad", "--disable-dev-shm-usage", "--disable-background-timer-throttling", "--mute-audio",
)  # fmt: skip
_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_MIMES = {
    ".js": "text/javascript", ".mjs": "text/javascript", ".html": "text/html", ".json": "application/json",
    ".wasm": "application/wasm",
}  # fmt: skip
START_S = 60.0  # a loaded machine takes its time to start a browser
BEAT_S = 20.0  # a page that lives gives a sign every second
_LAST = ("done", "rejected", "unavailable", "crashed")


@dataclass(frozen=True, kw_only=True)
class Browser:
    """browser. program: path of another Chromium."""

    OPTIONS: ClassVar = ("program",)

    address: str = ""
    name: str = NAME
    program: str = ""
    emulated: bool = False
    simulated: bool = False
    runtimes: Mapping[str, str] = field(default_factory=lambda: {"tflite": "litert.js", "onnx": "onnxruntime-web"})
    folder: Path | None = None  # of files that are not in their place yet

    def __post_init__(self) -> None:
        if self.address:
            raise BadInput(f"device={self.name!r}: write `{NAME}`, or `{NAME}://?program=PATH`")

    @contextmanager
    def session(self) -> Iterator["BrowserSession"]:
        """Serve a folder, for a browser that each job starts."""
        modules = (self.folder or environments.require(NAME)) / "node_modules"
        program = self.program or _program()
        with tempfile.TemporaryDirectory(prefix="edgewright-") as folder, _Server(Path(folder), modules) as server:
            yield BrowserSession(server, program, Path(folder))

    @contextmanager
    def exclusive(self, cores: int) -> Iterator[Cores]:
        """Hold cores of this machine as a local run does; the browser chooses where it runs."""
        with Local().exclusive(cores):
            yield None


class BrowserSession:
    """A temporary folder behind a server, and a fresh browser for each job."""

    def __init__(self, server: "_Server", program: str, folder: Path):
        self._server, self._program, self._folder = server, program, folder

    def put(self, source: Path, name: str) -> str:
        """Let the page read a file."""
        return self._server.share(Path(source).resolve())

    def get(self, name: str, destination: Path) -> None:
        """Take a file that the page wrote."""
        os.replace(self._server.received(name), destination)

    def path(self, name: str) -> str:
        """Let the page write a file."""
        return self._server.expect(name)

    def run(self, job: Event, on_line: Callable[[str], None]) -> Exit:
        """Start a browser on a job, and pass on what its page posts."""
        limit_s = job["time_limit_s"]
        profile = tempfile.mkdtemp(prefix="profile-", dir=self._folder)
        flags = [*_FLAGS, f"--user-data-dir={profile}", *(["--no-sandbox"] if os.getuid() == 0 else [])]
        watch = [sys.executable, str(WATCH), str(START_S + limit_s + GRACE_S)]
        watched = [*watch, self._program, *flags, self._server.begin(job)]
        with tempfile.TemporaryFile() as stderr:
            process = subprocess.Popen(
                watched, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True
            )
            try:
                return self._follow(process, limit_s, on_line)
            except DeviceLost as error:
                stderr.seek(0)
                raise DeviceLost(
                    f"{error}: {last_line(EXIT.sub('', stderr.read()[-4000:].decode(errors='replace')))}"
                ) from error
            finally:
                _end(process)

    def converse(self, job: Event) -> Conversation:
        """Refuse: a page runs one job."""
        raise BadInput(f"device={NAME!r} runs files on samples only; judge a model of several networks elsewhere")

    def _follow(self, process: subprocess.Popen, limit_s: float, on_line: Callable[[str], None]) -> Exit:
        """Pass on what the page posts until its last event, its death, or the time limit."""
        begun = time.monotonic()
        deadline = begun + START_S
        while True:
            try:
                line = self._server.lines.get(timeout=0.2)
            except queue.Empty:
                now = time.monotonic()
                if process.poll() is not None:
                    raise DeviceLost("the browser ended") from None
                if self._server.alive is None and now > begun + START_S:
                    raise DeviceLost(f"the browser showed no page within {START_S:g} s") from None
                if self._server.alive is not None and now > self._server.alive + BEAT_S:
                    return Exit(code=1, timed_out=False, stderr="the page's process died")
                if self._server.alive is not None and now > deadline:
                    return Exit(code=1, timed_out=True)
                continue
            event = json.loads(line)
            if event["event"] == "start":
                deadline = time.monotonic() + limit_s
            if event["event"] == "crashed":
                return Exit(code=1, timed_out=False, stderr=event["reason"])
            on_line(line)
            if event["event"] in _LAST:
                return Exit(code=0, timed_out=False)


class _Server:
    """What the page may read and write, under a path that nobody can guess."""

    def __init__(self, folder: Path, modules: Path):
        self._folder, self._modules = folder, modules
        self._shared: dict[str, Path] = {}  # name in an address -> file
        self._expected: dict[str, Path] = {}
        self._job = b""
        self.lines: queue.Queue[str] = queue.Queue()
        self.alive: float | None = None  # when the page last gave a sign
        self._secret = secrets.token_urlsafe(16)

    def __enter__(self) -> "_Server":
        self._http = _Http(("127.0.0.1", 0), type("Handler", (_Handler,), {"page": self}))
        threading.Thread(target=self._http.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def share(self, file: Path) -> str:
        """Let the page read a file; return its address. It is named after no file of the user's."""
        name = f"file-{len(self._shared)}"
        self._shared[name] = file
        return f"./files/{name}"

    def expect(self, name: str) -> str:
        """Let the page write a file; return its address."""
        number = f"result-{len(self._expected)}"
        self._expected[number] = self._folder / number
        self._expected[name] = self._folder / number
        return f"./files/{number}"

    def received(self, name: str) -> Path:
        path = self._expected.get(name)
        if path is None or not path.is_file():
            raise DeviceLost(f"{NAME}: {name} did not arrive")
        return path

    def begin(self, job: Event) -> str:
        """Offer a job; return the address of its page. What an earlier page still posts is not listened to."""
        self._job, self.alive, self.lines = json.dumps(job).encode(), None, queue.Queue()
        self._secret = secrets.token_urlsafe(16)
        return f"http://127.0.0.1:{self._http.server_port}/{self._secret}/page"

    def read(self, address: str) -> Path | bytes | None:
        """Return what the page asks for, or None."""
        secret, _, rest = address.lstrip("/").partition("/")
        if not secrets.compare_digest(secret.encode(), self._secret.encode()):
            return None
        if rest == "job":
            return self._job
        kind, _, name = rest.partition("/")
        if kind == "files":
            return self._shared.get(name)
        if kind == "modules":
            file = (self._modules / name).resolve()
            return file if file.is_relative_to(self._modules.resolve()) else None
        return _PAGES.get(rest)

    def write(self, address: str, body: bytes) -> bool:
        """Take what the page posts; return whether it may."""
        secret, _, rest = address.lstrip("/").partition("/")
        if not secrets.compare_digest(secret.encode(), self._secret.encode()):
            return False
        self.alive = time.monotonic()
        if rest == "events":
            self.lines.put(body.decode())
        elif rest.startswith("files/") and rest.partition("/")[2] in self._expected:
            self._expected[rest.partition("/")[2]].write_bytes(body)
        elif rest != "alive":
            return False
        return True


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address) -> None:
        """Show what went wrong, but for a connection that ended with the browser."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """HTTP around a `_Server`."""

    protocol_version = "HTTP/1.1"
    page: ClassVar[_Server]

    def do_GET(self) -> None:
        found = self.page.read(self.path)
        if isinstance(found, Path):
            if not found.is_file():
                return self._answer(HTTPStatus.NOT_FOUND, b"", "text/plain")
            return self._answer(HTTPStatus.OK, found.read_bytes(), _mime(found))
        if found is None:
            return self._answer(HTTPStatus.NOT_FOUND, b"", "text/plain")
        return self._answer(HTTPStatus.OK, found, "application/json")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        taken = self.page.write(self.path, body)
        self._answer(HTTPStatus.NO_CONTENT if taken else HTTPStatus.NOT_FOUND, b"", "text/plain")

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: standard error is for progress."""

    def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):  # the browser was ended meanwhile
            self.wfile.write(body)


def _mime(file: Path) -> str:
    """Return the type a browser insists on for scripts and WebAssembly; tables of a system may lack them."""
    return _MIMES.get(file.suffix, "application/octet-stream")


def _end(process: subprocess.Popen) -> None:
    """Let the watcher kill the browser with its children."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _program() -> str:
    found = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if found is None:
        raise EdgewrightError("there is no Chromium here; install it (Debian: apt-get install chromium)")
    return found


def fetch(folder: Path) -> None:
    """Fetch the runtimes from npm; none of their scripts is run."""
    _program()
    npm = environments.program("npm", "npm")
    (folder / "package.json").write_text('{"private": true}\n')
    environments.call([npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", folder, *PACKAGES])


def verify(folder: Path, trial: Callable[[Transport], str]) -> str:
    """Return what a trial of the kernels in the page says. Raises: EdgewrightError if they are wrong."""
    return trial(Browser(folder=folder))
