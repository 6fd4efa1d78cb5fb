"""The file of API keys, the command that writes its lines, and what becomes of a change while a service runs."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import pytest

from bento import keys as command
from bento.access import keys
from bento.access.keys import Keyring, line, new_key
from bento.access.tokens import user_of
from infra.settings import SettingsError

GOOD = f"shop ingest,read {'a' * 64} 200/second"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LOOK_EVERY_S", 0.0)


def test_the_command_prints_the_key_once_and_a_line_without_it(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command.main(["new", "shop", "--roles", "read,ingest", "--rate", "200/second"]) == 0
    printed = capsys.readouterr()
    key = printed.err.splitlines()[-1]
    assert len(key) >= 43 and key not in printed.out
    assert printed.out.split() == ["shop", "ingest,read", hashlib.sha256(key.encode()).hexdigest(), "200/second"]
    path.write_text(printed.out)
    holder = Keyring(path).holder(key.encode())
    assert holder is not None and (holder.name, holder.roles, holder.rate) == ("shop", {"ingest", "read"}, "200/second")
    assert Keyring(path).holder(key[:-1].encode()) is None and Keyring(path).holder(b"") is None

    secret = "signs the tokens of all the users of this shop"
    monkeypatch.setenv("FRESHET_USER_TOKEN_SECRET", secret)
    assert command.main(["token", "ann"]) == 0
    assert user_of(capsys.readouterr().out.strip(), secret) == "ann"


@pytest.mark.parametrize(
    "arguments", [["shop", "--roles", "root"], ["a b", "--roles", "read"], ["shop", "--roles", ""]]
)
def test_the_command_refuses_what_the_file_would_not_take(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["new", *arguments]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("error: ")


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("shop ingest", "a line is: name roles sha256 [rate]"),
        (f"shop ingest {'a' * 64} 5/second more", "a line is: name roles sha256 [rate]"),
        (f"sh/op ingest {'a' * 64}", "a name is"),
        (f"shop write {'a' * 64}", "'write' is no role; there are ingest, read, admin"),
        (f"shop , {'a' * 64}", "shop has no role"),
        ("shop read not-hashed-at-all", "the hash of shop is no SHA-256"),
        (f"shop read {'a' * 64} 5/moment", "a rate is"),
        (f"shop read {'a' * 64} 0/second", "a rate is"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_and_not_quoted(path: Path, bad: str, told: str) -> None:
    path.write_text(f"# keys\n\n{GOOD}\n{bad}\n")
    with pytest.raises(SettingsError, match="line 4") as refused:
        Keyring(path)
    assert told in str(refused.value) and "not-hashed-at-all" not in str(refused.value)


def test_one_key_has_one_holder(path: Path) -> None:
    path.write_text(f"{GOOD}\n{GOOD.replace('shop', 'other')}\n")
    with pytest.raises(SettingsError, match="other and shop have the same key"):
        Keyring(path)


def test_a_file_that_is_not_there_is_refused_at_the_start(path: Path) -> None:
    with pytest.raises(SettingsError, match="FRESHET_API_KEYS_FILE"):
        Keyring(path)


def test_the_admin_key_may_everything_beside_the_file(path: Path) -> None:
    path.write_text(GOOD)
    holder = Keyring(path, "the key to begin with").holder(b"the key to begin with")
    assert holder is not None and holder.roles == {"ingest", "read", "admin"}


@pytest.mark.usefixtures("looks_at_once")
def test_keys_are_exchanged_without_a_restart(path: Path) -> None:
    old, new = new_key(), new_key()
    path.write_text(line("shop", ["read"], old))
    ring = Keyring(path)
    path.write_text(line("shop", ["read"], old) + "\n" + line("shop", ["read", "admin"], new))
    for key, roles in ((old, {"read"}), (new, {"read", "admin"})):
        holder = ring.holder(key.encode())
        assert holder is not None and (holder.name, holder.roles) == ("shop", roles)
    path.write_text(line("shop", ["read", "admin"], new))
    assert ring.holder(old.encode()) is None and ring.holder(new.encode()) is not None


@pytest.mark.usefixtures("looks_at_once")
@pytest.mark.parametrize("breaks", ["shop everything x\n", None])
def test_a_file_that_breaks_keeps_the_keys_of_before_and_says_so_once(
    path: Path, breaks: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    key = new_key()
    path.write_text(line("shop", ["read"], key))
    ring = Keyring(path)
    if breaks is None:
        path.unlink()
    else:
        path.write_text(breaks)
    with caplog.at_level(logging.ERROR, "bento.access.keys"):
        assert all(ring.holder(key.encode()) is not None for _ in range(3))
    (record,) = caplog.records
    assert "the keys of before stay" in record.getMessage() and str(path) in record.getMessage()
    path.write_text("")
    assert ring.holder(key.encode()) is None
