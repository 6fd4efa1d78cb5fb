"""A Pinecone for tests: the part of its HTTP data plane that the client's vector methods use, over exact search.

Paths and fields are those that ``pinecone`` 10.2 sends and reads: POST /vectors/upsert, POST /query,
POST /describe_index_stats, DELETE /namespaces/{name}.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import numpy as np

HOST, KEY = "127.0.0.1", "test-key"
MOST_MATCHES, MOST_VECTORS = 10_000, 1_000


class PineconeServer:
    """An index of dot products, running inside ``with``; it can be told to hang, to fail, to be slow of sight.

    Attributes:
        failing: status that every request is answered with, while not None.
        unseen: so many of the next looks at the counts show nothing of what was written.
        requests: paths in the order that they came.
    """

    def __init__(self, dimensions: int) -> None:
        self.failing: int | None = None
        self.unseen = 0
        self.requests: list[str] = []
        self._dimensions = dimensions
        self._namespaces: dict[str, dict[str, list[float]]] = {}
        self._lock = threading.Lock()
        self._running = threading.Event()
        self._running.set()
        self._server = _Server((HOST, 0), _handler(self))

    def settings(self) -> dict[str, Any]:
        """The settings that lead a client here."""
        port = self._server.server_address[1]
        return {
            "vector_index": "pinecone",
            "PINECONE_API_KEY": KEY,
            "pinecone_host": f"http://{HOST}:{port}",
            "pinecone_batch": 100,
        }

    def hang(self) -> None:
        """Take requests and answer none until ``go_on``."""
        self._running.clear()

    def go_on(self) -> None:
        """Answer again, also what came meanwhile."""
        self._running.set()

    def counts(self) -> dict[str, int]:
        """Vectors by namespace."""
        with self._lock:
            return {name: len(vectors) for name, vectors in self._namespaces.items()}

    def answer(self, method: str, path: str, key: str | None, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and JSON of one request."""
        self.requests.append(path)
        self._running.wait()
        if self.failing is not None:
            return self.failing, _error("told to fail")
        if key != KEY:
            return 401, _error("Invalid API Key")
        ways: dict[tuple[str, str], Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]] = {
            ("POST", "/vectors/upsert"): self._upsert,
            ("POST", "/query"): self._query,
            ("POST", "/describe_index_stats"): self._stats,
        }
        with self._lock:
            if method == "DELETE" and path.startswith("/namespaces/"):
                gone = self._namespaces.pop(unquote(path.removeprefix("/namespaces/")), None)
                return (404, _error("namespace not found")) if gone is None else (200, {})
            way = ways.get((method, path))
            return (404, _error(f"no {method} {path}")) if way is None else way(body)

    def _upsert(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        vectors = body["vectors"]
        if len(vectors) > MOST_VECTORS:
            return 400, _error(f"{len(vectors)} vectors, at most {MOST_VECTORS}")
        if wrong := [v["id"] for v in vectors if len(v["values"]) != self._dimensions]:
            return 400, _error(f"Vector dimension of {wrong[0]} does not match the dimension of the index")
        self._namespaces.setdefault(body.get("namespace", ""), {}).update({v["id"]: v["values"] for v in vectors})
        return 200, {"upsertedCount": len(vectors)}

    def _query(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if not 1 <= body["topK"] <= MOST_MATCHES:
            return 400, _error("topK out of range")
        vectors = self._namespaces.get(body.get("namespace", ""), {})
        found = []
        if vectors:
            scores = np.array(list(vectors.values()), np.float32) @ np.array(body["vector"], np.float32)
            ids = list(vectors)
            found = [{"id": ids[n], "score": float(scores[n])} for n in np.argsort(-scores)[: body["topK"]]]
        return 200, {"matches": found, "namespace": body.get("namespace", ""), "usage": {"readUnits": 1}}

    def _stats(self, _: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        counts = {name: {"vectorCount": len(vectors)} for name, vectors in self._namespaces.items()}
        if self.unseen:
            self.unseen -= 1
            counts = {}
        total = sum(each["vectorCount"] for each in counts.values())
        return 200, {
            "namespaces": counts,
            "dimension": self._dimensions,
            "indexFullness": 0.0,
            "totalVectorCount": total,
        }

    def __enter__(self) -> PineconeServer:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone away meanwhile is no error here."""


def _handler(server: PineconeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _answer(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answer = server.answer(
                self.command, self.path, self.headers.get("Api-Key"), json.loads(raw) if raw else {}
            )
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_DELETE = _answer

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the tests' output is theirs."""

    return Handler


def _error(message: str) -> dict[str, Any]:
    return {"code": 3, "message": message, "details": []}
