"""Who may administer: the one rule, wherever it is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from bento.errors import ApiError, Forbidden, Unauthorized
from bento.keys import check_key, lock
from infra.settings import Settings
from tests.bento.access_services import key_file


def of(home: Settings, mode: str, admin_key: str) -> Settings:
    return home.model_copy(update={"mode": mode, "admin_key": admin_key})


@pytest.mark.parametrize(
    ("mode", "admin_key", "state"),
    [("local", "", "open"), ("local", "k", "needed"), ("production", "", "closed"), ("production", "k", "needed")],
)
def test_what_stands_before_an_act(home: Settings, mode: str, admin_key: str, state: str) -> None:
    assert lock(of(home, mode, admin_key)) == state


@pytest.mark.parametrize(
    ("mode", "admin_key", "key", "refusal"),
    [
        ("local", "", None, None),
        ("local", "", "anything", None),
        ("local", "open sesame", "open sesame", None),
        ("local", "open sesame", "open sesame ", Unauthorized),
        ("local", "open sesame", "", Unauthorized),
        ("local", "open sesame", None, Unauthorized),
        ("production", "open sesame", "open sesame", None),
        ("production", "open sesame", "schlüssel", Unauthorized),
        ("production", "open sesame", None, Unauthorized),
        ("production", "", None, Forbidden),
        ("production", "", "", Forbidden),
        ("production", "", "anything", Forbidden),
    ],
)
def test_who_may(home: Settings, mode: str, admin_key: str, key: str | None, refusal: type[ApiError] | None) -> None:
    settings = of(home, mode, admin_key)
    if refusal is None:
        check_key(settings, key, "change the model")
        return
    with pytest.raises(refusal) as told:
        check_key(settings, key, "change the model")
    assert "FRESHET_ADMIN_KEY" in str(told.value)
    assert "sesame" not in str(told.value)
    if refusal is Forbidden:
        assert "nobody may change the model" in str(told.value)


def test_a_key_of_role_admin_administers_and_no_other_does(home: Settings, tmp_path: Path) -> None:
    keys = key_file(tmp_path / "keys", {"ops": "admin", "shop": "ingest,read"})
    for mode in ("local", "production"):
        settings = of(home, mode, "").model_copy(update={"api_keys_file": tmp_path / "keys"})
        assert lock(settings) == "needed"
        check_key(settings, keys["ops"], "change the model")
        for key in (keys["shop"], "", None):
            with pytest.raises(Unauthorized, match="role admin"):
                check_key(settings, key, "change the model")
