"""Settings: what is read from where, and what is said when it makes no sense."""

import os
import re
from datetime import timedelta
from pathlib import Path

import pytest
from pypi_simple import PYPI_SIMPLE_ENDPOINT

from koschey.errors import StartError
from koschey.settings import PREFIX, Settings, load_settings
from koschey.settings.signal_decisions import SignalDecisions, signal_decisions, signal_warnings
from tests.support.examples import DATABASE

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "settings.md"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting but the one that has no default."""
    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.setenv("KOSCHEY_DATABASE_URL", DATABASE)


def test_defaults() -> None:
    """One setting has to be given; the others have safe defaults."""
    settings = load_settings()
    assert str(settings.database_url) == DATABASE
    assert settings.upstream_url == PYPI_SIMPLE_ENDPOINT.rstrip("/") + "/"
    assert settings.window == timedelta(days=7)
    assert settings.public_url == "http://127.0.0.1:8080"
    assert not settings.allow_private_upstream
    assert {name for name, field in Settings.model_fields.items() if field.is_required()} == {"database_url"}


def test_the_one_that_must_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a database the message says which variable is missing and what to do."""
    monkeypatch.delenv("KOSCHEY_DATABASE_URL")
    with pytest.raises(StartError, match=r"^KOSCHEY_DATABASE_URL is not set; run `koschey up`, or [^\n]*$"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "attribute", "expected"),
    [
        ("QUARANTINE_DAYS", "0.5", "window", timedelta(hours=12)),
        ("QUARANTINE_DAYS", "0", "window", timedelta()),
        ("QUARANTINE_DAYS", "", "window", timedelta(days=7)),  # empty is not set
        ("UPSTREAM", "https://index.example.org/simple", "upstream_url", "https://index.example.org/simple/"),
        ("UPSTREAM", "https://index.example.org/simple//", "upstream_url", "https://index.example.org/simple/"),
        ("BASE_URL", "https://koschey.example.org/", "public_url", "https://koschey.example.org"),
        ("PORT", "9000", "public_url", "http://127.0.0.1:9000"),
        ("DECISIONS_BY_SIGNAL", "false", "decisions_by_signal", False),
        ("SPOOL", "spool", "spool", Path("spool")),
        # at the very edge of what is allowed
        ("S3_BUCKET", "abc", "s3_bucket", "abc"),
        ("S3_BUCKET", "a" * 63, "s3_bucket", "a" * 63),
        ("PORT", "0", "port", 0),
        ("PORT", "65535", "port", 65535),
        ("WEB_PROCESSES", "1", "web_processes", 1),
        ("WEB_PROCESSES", "64", "web_processes", 64),
        ("QUARANTINE_DAYS", "3650", "window", timedelta(days=3650)),
        ("PAGE_FRESHNESS", "0", "page_freshness", 0),
        ("DOWNLOADS_KEPT_DAYS", "", "downloads_kept", None),
        ("DOWNLOADS_KEPT_DAYS", "1", "downloads_kept", timedelta(days=1)),
        ("DOWNLOADS_KEPT_DAYS", "36500", "downloads_kept", timedelta(days=36500)),
    ],
)
def test_values(monkeypatch: pytest.MonkeyPatch, name: str, value: str, attribute: str, expected: object) -> None:
    """A variable of the environment sets what it names."""
    monkeypatch.setenv(PREFIX + name, value)
    assert getattr(load_settings(), attribute) == expected


@pytest.mark.parametrize(
    ("value", "meant", "number"),
    [
        ("", SignalDecisions.CODE, 0),
        ("code", SignalDecisions.CODE, 0),
        (" Trusted ", SignalDecisions.TRUSTED, 0),
        ("off", SignalDecisions.OFF, 0),
        ("true", SignalDecisions.TRUSTED, 1),
        ("Yes", SignalDecisions.TRUSTED, 1),
        ("1", SignalDecisions.TRUSTED, 1),
        ("false", SignalDecisions.OFF, 0),
        ("0", SignalDecisions.OFF, 0),
    ],
)
def test_decisions_by_signal(monkeypatch: pytest.MonkeyPatch, value: str, meant: SignalDecisions, number: int) -> None:
    """Earlier versions had true and false; true opens a door to everybody, and a warning says what to write instead."""
    monkeypatch.setenv(PREFIX + "DECISIONS_BY_SIGNAL", value)
    setting = load_settings().decisions_by_signal
    assert signal_decisions(setting) is meant
    warnings = signal_warnings(setting)
    assert len(warnings) == number
    assert all("`code`" in warning and "`trusted`" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://koschey:hunter2@db.example.org/koschey"),
        ("DATABASE_URL", "hunter2"),
        ("S3_ENDPOINT", "s3.example.org"),
        ("S3_BUCKET", "ab"),
        ("S3_BUCKET", "a" * 64),
        ("TEMPORAL_TLS", "maybe"),
        ("UPSTREAM", "index.example.org"),
        ("UPSTREAM", "http://index.example.org/simple/"),
        ("QUARANTINE_DAYS", "-1"),
        ("QUARANTINE_DAYS", "a week"),
        ("QUARANTINE_DAYS", "nan"),
        ("QUARANTINE_DAYS", "inf"),
        ("PAGE_FRESHNESS", "-1"),
        ("PAGE_FRESHNESS", "inf"),
        ("PAGE_FRESHNESS", "9" * 5000),
        ("ADVISORIES_MAX_AGE", "inf"),
        ("ADVISORIES_MAX_AGE", "1e300"),
        ("TEMPORAL_TLS_CERT", "cert.pem"),
        ("TEMPORAL_TLS_CA", "ca.pem"),
        ("MAX_PAGE_MIB", "0"),
        ("MAX_FILE_MIB", "0"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "http"),
        ("QUARANTINE_DAYS", "3651"),
        ("WEB_PROCESSES", "0"),
        ("WEB_PROCESSES", "65"),
        ("DECISIONS_BY_SIGNAL", "maybe"),
        ("DECISIONS_BY_SIGNAL", "codes"),
        ("LOG_LEVEL", "loud"),
        ("LOG_LEVEL", "INFO\n"),
    ],
)
def test_bad_values(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A value that makes no sense is refused in one line that names its variable, and repeats no secret."""
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(StartError) as refused:
        load_settings()
    message = str(refused.value)
    assert message.startswith(f"{PREFIX}{name}: ")
    assert "\n" not in message
    assert "hunter2" not in message


def test_all_bad_values_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several mistakes are told together, so that nobody has to start several times."""
    monkeypatch.setenv("KOSCHEY_PORT", "x")
    monkeypatch.setenv("KOSCHEY_LOG_LEVEL", "x")
    with pytest.raises(StartError, match=r"^KOSCHEY_PORT: .*; KOSCHEY_LOG_LEVEL: [^\n]*$"):
        load_settings()


@pytest.mark.parametrize("name", ["KOSCHEY_QUARANTINE", "KOSCHEY_", "KOSCHEY_port", "koschey_port", "KOSCHEY_DSN"])
def test_unknown_variables(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A misspelt setting is refused by name, for it would silently not be in force."""
    monkeypatch.setenv(name, "x")
    with pytest.raises(StartError, match=rf"^unknown setting {name};"):
        load_settings()


def test_a_variable_of_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """`KOSCHEY_DATA`, which commands read themselves, is no unknown setting."""
    monkeypatch.setenv("KOSCHEY_DATA", "data")
    assert load_settings().port == 8080


def test_variables_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not begin with our prefix is none of our business."""
    monkeypatch.setenv("PORT", "1")
    monkeypatch.setenv("DATABASE_URL", "x")
    assert load_settings().port == 8080


def test_the_file_is_below_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file gives what the environment does not."""
    file = tmp_path / "koschey.env"
    file.write_text("KOSCHEY_PORT=9000\nKOSCHEY_HOST='0.0.0.0'\n")
    monkeypatch.setenv("KOSCHEY_PORT", "9001")
    settings = load_settings(file=file)
    assert (settings.port, settings.host) == (9001, "0.0.0.0")
    assert load_settings(file=tmp_path / "absent.env").host == "127.0.0.1"


@pytest.mark.parametrize("name", ["KOSCHEY_PROT", "QUARANTINE"])
def test_unknown_names_in_the_file(tmp_path: Path, name: str) -> None:
    """A misspelt setting in the file is refused by its name too."""
    file = tmp_path / "koschey.env"
    file.write_text(f"{name}=9000\n")
    with pytest.raises(StartError, match=rf"^unknown setting {name};[^\n]*$"):
        load_settings(file=file)


def test_a_file_of_somebody_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file that we may not read is named, and not taken for an empty one."""
    file = tmp_path / "koschey.env"
    file.write_text("")
    monkeypatch.setattr("koschey.settings.loading.os.access", lambda *_: False)  # root may read everything
    with pytest.raises(StartError, match=r"koschey\.env belongs to another user"):
        load_settings(file=file)


def test_private_upstreams_are_allowed_explicitly(monkeypatch: pytest.MonkeyPatch) -> None:
    """An upstream without TLS needs the operator's word, and the message says which setting gives it."""
    monkeypatch.setenv("KOSCHEY_UPSTREAM", "http://index.example.org/simple/")
    with pytest.raises(StartError, match="KOSCHEY_ALLOW_PRIVATE_UPSTREAM"):
        load_settings()
    monkeypatch.setenv("KOSCHEY_ALLOW_PRIVATE_UPSTREAM", "true")
    assert load_settings().upstream_url == "http://index.example.org/simple/"


def test_private_hosts_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch allows the upstream's own host and port, the list others; either allows plain http to those alone."""
    monkeypatch.setenv("KOSCHEY_UPSTREAM", "http://index.corp.example:3141/simple/")
    monkeypatch.setenv("KOSCHEY_ALLOW_PRIVATE_UPSTREAM", "true")
    allowed = load_settings().allowed_hosts
    assert (allowed.name("index.corp.example", 3141), allowed.name("index.corp.example", 3142)) == (True, False)
    monkeypatch.setenv("KOSCHEY_ADVISORIES", "http://osv.corp.example/all.zip")
    with pytest.raises(StartError, match=r"KOSCHEY_ADVISORIES: .* its host listed in KOSCHEY_PRIVATE_HOSTS"):
        load_settings()
    monkeypatch.setenv("KOSCHEY_PRIVATE_HOSTS", "osv.corp.example, 10.1.0.0/16")
    assert load_settings().allowed_hosts.cover("10.1.2.3")
    monkeypatch.setenv("KOSCHEY_ALLOW_PRIVATE_UPSTREAM", "false")
    with pytest.raises(StartError, match="KOSCHEY_ALLOW_PRIVATE_UPSTREAM"):
        load_settings()
    monkeypatch.setenv("KOSCHEY_PRIVATE_HOSTS", "osv.corp.example, index.corp.example:3141")
    assert load_settings().upstream_url == "http://index.corp.example:3141/simple/"


@pytest.mark.parametrize("hosts", ["http://files.corp.example/", "0.0.0.0/0", "a b"])
def test_private_hosts_that_are_none(monkeypatch: pytest.MonkeyPatch, hosts: str) -> None:
    """What names no host, or everybody, is one line that names the setting."""
    monkeypatch.setenv("KOSCHEY_PRIVATE_HOSTS", hosts)
    with pytest.raises(StartError, match=r"^KOSCHEY_PRIVATE_HOSTS: [^\n]*$"):
        load_settings()


@pytest.mark.parametrize(
    ("text", "minutes"), [("5,15,60", [5, 15, 60]), (" 1 , 2.5", [1, 2.5]), ("0.1", [0.1]), ("43200", [43200])]
)
def test_looks_that_confirm_an_absence(monkeypatch: pytest.MonkeyPatch, text: str, minutes: list[float]) -> None:
    """Minutes after the first look, in rising order."""
    monkeypatch.setenv("KOSCHEY_ABSENCE_CONFIRMED_AFTER", text)
    assert load_settings().confirmed_after == tuple(timedelta(minutes=each) for each in minutes)


@pytest.mark.parametrize(
    "text", ["0", "5,5", "15,5", "-1", "five", "5;15", "5,,15", "nan", "inf", "1e9", ",".join(map(str, range(1, 30)))]
)
def test_looks_that_make_no_sense(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """What is no rising list of minutes is one line that names the setting and shows how to write it."""
    monkeypatch.setenv("KOSCHEY_ABSENCE_CONFIRMED_AFTER", text)
    with pytest.raises(StartError, match=r"^KOSCHEY_ABSENCE_CONFIRMED_AFTER: .* such as 5,15,60$"):
        load_settings()


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret is seen where settings are printed or logged."""
    monkeypatch.setenv("KOSCHEY_S3_SECRET_KEY", "hunter3")
    settings = load_settings()
    for shown in (repr(settings), str(settings), f"{settings}", repr(settings.s3_secret_key)):
        assert "hunter" not in shown
    assert settings.s3_secret_key is not None
    assert settings.s3_secret_key.get_secret_value() == "hunter3"


def test_settings_do_not_change() -> None:
    """What a process was started with is what it runs with."""
    with pytest.raises(ValueError, match="frozen"):
        load_settings().port = 1  # type: ignore[misc]


def test_every_setting_is_described() -> None:
    """Each setting says in a few words what it does."""
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_every_setting_is_documented() -> None:
    """The page of the settings lists exactly the settings that exist."""
    rows = re.findall(r"^\|\s*`(KOSCHEY_[A-Z0-9_]+)`\s*\|", PAGE.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(PREFIX + name.upper() for name in Settings.model_fields)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("10.0.0.1/8", "'10.0.0.1/8' is not a network; write addresses, or CIDR such as 10.0.0.0/8"),
        ("10.0.0.0/8, proxy.example.org", "'proxy.example.org' is not a network"),
        ("*", "'*' is not a network"),
        ("0.0.0.0/0", "0.0.0.0/0 covers every address"),
        ("10.0.0.1,::/0", "::/0 covers every address"),
    ],
)
def test_proxies_that_are_refused(monkeypatch: pytest.MonkeyPatch, value: str, message: str) -> None:
    """What is no network, and what trusts everybody, is refused at the start."""
    monkeypatch.setenv("KOSCHEY_TRUSTED_PROXIES", value)
    with pytest.raises(StartError, match=f"^KOSCHEY_TRUSTED_PROXIES: .*{re.escape(message)}"):
        load_settings()


def test_proxies_that_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks and single addresses, of both kinds, with spaces or without."""
    assert load_settings().proxy_networks == ()
    monkeypatch.setenv("KOSCHEY_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1,2001:db8::/32,")
    assert [str(one) for one in load_settings().proxy_networks] == ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"]
