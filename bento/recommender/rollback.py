"""Rolls back in well under a second: ``python -m bento.recommender.rollback [REASON]``.

Asks the running recommender, which has the release before in memory. It imports nothing but Python's own library,
since MLflow's import alone takes seconds; ``flows.rollback`` does the same through the registry when no recommender
runs. It reads FRESHET_HOST, FRESHET_RECOMMENDER_PORT and FRESHET_ADMIN_KEY from the environment.
"""

import json
import os
import sys
import urllib.error
import urllib.request

HOST, PORT = "127.0.0.1", "8001"
"""As the settings have them."""

PATIENCE_S = 10.0


def main() -> int:
    """The command line. Returns 1 when the recommender did not do it, 2 when there is none."""
    host, port = os.environ.get("FRESHET_HOST", HOST), os.environ.get("FRESHET_RECOMMENDER_PORT", PORT)
    reason = " ".join(sys.argv[1:]).strip()
    body = json.dumps({"reason": reason}).encode() if reason else None
    headers = {"content-type": "application/json", "x-api-key": os.environ.get("FRESHET_ADMIN_KEY", "")}
    url = f"http://{host}:{port}/model/rollback"
    request = urllib.request.Request(url, body, headers, method="POST")
    # Without a proxy: the recommender is ours.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PATIENCE_S) as answer:
            done = json.load(answer)
    except urllib.error.HTTPError as error:
        print(f"error: {_message(error)}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: no recommender at {url}: {error}; python -m flows.rollback needs none", file=sys.stderr)
        return 2
    print(f"version {done['left']} was left, version {done['serves']} serves again ({done['took_ms']:.0f} ms)")
    return 0


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"{error.code} {error.reason}"


if __name__ == "__main__":
    sys.exit(main())
