"""The way back: ``python -m flows.rollback --reason TEXT [--version N]``. Prefect's flow of the same name calls this.

It imports neither Prefect nor anything of training: whoever needs it has no time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from infra.settings import Settings, SettingsError, load_settings
from models import registry
from models.announce import announce
from models.registry import RegistryError, Rollback


def go_back(settings: Settings, reason: str, version: str | None = None) -> Rollback:
    """Let another version serve, write the reason on the one that it leaves, and tell the recommenders.

    Args:
        settings: the model, and where its registry and Redis are.
        reason: stands on the version as tag ``rolled_back``.
        version: the one that shall serve; None: the one that served before.

    Raises:
        ValueError: there is no reason.
        RegistryError: nothing to go back to, no such version, or it serves already.
    """
    if not reason.strip():
        raise ValueError("reason: is empty; say why, it will stand on the version that is left")
    if version is not None:
        registry.tags_of(settings, version)
        if registry.champion(settings, settings.model_alias) == version:
            raise RegistryError(f"version: {version} of {settings.model_name} is the {settings.model_alias} already")
    done = registry.roll_back(settings, reason, to=version)
    if done is None:
        raise RegistryError(f"{settings.model_alias} of {settings.model_name} moved meanwhile; look, and ask again")
    announce(settings)
    return done


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m flows.rollback", description=__doc__)
    parser.add_argument("--reason", required=True, help="why; stands on the version that is left")
    parser.add_argument("--version", help="the version that shall serve (default: the one that served before)")
    options = parser.parse_args(arguments)
    started = time.perf_counter()
    try:
        done = go_back(load_settings(), options.reason, options.version)
    except (SettingsError, RegistryError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"version {done.serves} serves again instead of {done.left} ({time.perf_counter() - started:.2f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
