"""nginx with our template, filled in as nginx's image does it, and services behind it that keep what they are asked."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import certifi
import httpx
import uvicorn
from starlette.types import ASGIApp

from infra.settings import ROOT

TEMPLATE = ROOT / "infra" / "nginx" / "page.conf.template"
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

# What the image's own nginx.conf says, as far as it matters here.
AROUND = """
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log;
daemon off;
worker_processes 1;
events {{ worker_connections 128; }}
http {{
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    client_body_temp_path {folder}/client_temp;
    proxy_temp_path {folder}/proxy_temp;
    fastcgi_temp_path {folder}/fastcgi_temp;
    uwsgi_temp_path {folder}/uwsgi_temp;
    scgi_temp_path {folder}/scgi_temp;
    include {folder}/page.conf;
}}
"""


@dataclass
class Seen:
    """A request as it reached a service."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Service:
    """A real HTTP server that keeps what it was asked."""

    url: str
    seen: list[Seen] = field(default_factory=list)


@contextmanager
def service(answer_headers: Mapping[str, str]) -> Iterator[Service]:
    """A service that answers 200 with JSON and these headers; the status that the path names as /status/N."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            known.seen.append(Seen(self.command, self.path, dict(self.headers.items()), body))
            asked = re.fullmatch(r"/status/(\d+)", self.path)
            text = json.dumps({"path": self.path}).encode()
            self.send_response(int(asked[1]) if asked else 200)
            for name, value in answer_headers.items():
                self.send_header(name, value)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = _answer

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known = Service(f"http://127.0.0.1:{server.server_port}")
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """An ASGI application over HTTP, without its lifespan; gives its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=1))
        thread = Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


def fill_in(template: str, variables: Mapping[str, str]) -> str:
    """What ``envsubst`` makes of it when it is told the names of all variables, as by nginx's image."""
    filled = re.sub(r"\$\{(\w+)\}", lambda found: variables.get(found[1], found[0]), template)
    if left := re.findall(r"\$\{\w+\}", filled):
        raise ValueError(f"no value for {', '.join(sorted(set(left)))}")
    return filled


@contextmanager
def nginx(folder: Path, variables: Mapping[str, str]) -> Iterator[str]:
    """nginx with the template and these variables; gives its URL, and leaves access.log in the folder."""
    assert NGINX, "nginx is not installed; `make tools` installs it"
    url = f"http://127.0.0.1:{variables['FRESHET_CONSOLE_PORT']}"
    known = {"CA_BUNDLE": certifi.where(), "NGINX_LOCAL_RESOLVERS": "127.0.0.1"} | dict(variables)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "page.conf").write_text(fill_in(TEMPLATE.read_text(), known))
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, user=user))
    command = [NGINX, "-c", str(folder / "nginx.conf"), "-p", str(folder)]
    with (folder / "access.log").open("wb") as log, (folder / "stderr.log").open("wb") as errors:
        process = subprocess.Popen(command, stdout=log, stderr=errors)
        try:
            _await(url, process, folder)
            yield url
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait(10)


def _await(url: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    for _ in range(200):
        try:
            if httpx.get(f"{url}/healthz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
        if process.poll() is not None:
            break
    raise RuntimeError(f"nginx does not start: {(folder / 'stderr.log').read_text()}")
