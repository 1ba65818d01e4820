"""What `koschey up` settles before a part starts: ports, settings, and the environment of each part."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from koschey.embedded.banner import announce
from koschey.embedded.environment import bare_environment, own_environment, settle_settings
from koschey.embedded.options import UpOptions, settings_file
from koschey.embedded.ports import Ports, choose_ports
from koschey.embedded.secret_file import Secrets, load_secrets
from koschey.errors import StartError
from koschey.settings import Settings, load_settings
from tests.support.embedded_parts import mode


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("option", ["port", "postgres_port", "s3_port", "temporal_port", "temporal_ui_port"])
def test_a_taken_port_is_named(claimed: Path, option: str) -> None:
    """A port that was asked for and is taken is named together with its option."""
    with taken_port() as port:
        options = replace(UpOptions(claimed, port=0), **{option: port})  # type: ignore[arg-type]
        with pytest.raises(StartError, match=f"port {port} .*--{option.replace('_', '-')}$"):
            choose_ports(options, claimed)


def test_ports_are_chosen_apart_and_kept(claimed: Path) -> None:
    """Free ports differ from each other and are the same at the next start."""
    first = choose_ports(UpOptions(claimed, port=0), claimed)
    assert len(set(asdict(first).values())) == 5
    assert choose_ports(UpOptions(claimed, port=0), claimed) == first


def test_a_port_lost_meanwhile_is_replaced(claimed: Path) -> None:
    """A remembered port that another program has taken is replaced; the others stay."""
    first = choose_ports(UpOptions(claimed, port=0), claimed)
    with socket.create_server(("127.0.0.1", first.postgres)):
        second = choose_ports(UpOptions(claimed, port=0), claimed)
    assert second.postgres != first.postgres
    assert replace(second, postgres=first.postgres) == first


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_a_strange_address_is_refused(claimed: Path, host: str) -> None:
    """An address that is not this machine's is said to be that, not a taken port."""
    with pytest.raises(StartError, match=f"{host} is not an address .*--host"):
        choose_ports(UpOptions(claimed, host=host, port=0), claimed)


# Settings

PORTS = Ports(web=8080, postgres=5001, s3=5002, temporal=5003, temporal_ui=5004)


@pytest.mark.usefixtures("bare")
def test_the_settings_file_loads(claimed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the file says is what the children are told: options, the user's variables, and where the servers are."""
    monkeypatch.setenv("KOSCHEY_LOG_LEVEL", "debug")
    monkeypatch.setenv("KOSCHEY_PORT", "9999")
    options = UpOptions(
        claimed,
        upstream="http://127.0.0.1:1/it's/simple/",
        allow_private_upstream=True,
        quarantine_days=1.5,
        web_processes=3,
    )
    secrets = load_secrets(claimed, made_before=False)
    settings, values = settle_settings(options, secrets, PORTS, claimed)
    assert settings == load_settings(file=settings_file(claimed))
    assert mode(settings_file(claimed)) == 0o600
    assert {name: own_environment(claimed, values)[name] for name in values} == values
    assert (settings.port, settings.web_processes, settings.quarantine_days) == (8080, 3, 1.5)
    assert (settings.log_level, settings.temporal_address) == ("debug", "127.0.0.1:5003")
    assert settings.upstream_url == "http://127.0.0.1:1/it's/simple/"
    assert settings.s3_secret_key is not None
    assert settings.s3_secret_key.get_secret_value() == secrets.s3_secret_key
    assert str(settings.database_url) == f"postgresql://koschey:{secrets.postgres}@127.0.0.1:5001/koschey"


@pytest.mark.usefixtures("bare")
def test_settings_of_other_servers_are_not_ignored(claimed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who names a database of their own is told that `koschey up` would not use it."""
    monkeypatch.setenv("KOSCHEY_DATABASE_URL", "postgresql://db/koschey")
    with pytest.raises(StartError, match="KOSCHEY_DATABASE_URL is set"):
        settle_settings(UpOptions(claimed), Secrets(), PORTS, claimed)


@pytest.mark.usefixtures("bare")
def test_options_are_checked_before_anything_starts(claimed: Path) -> None:
    """An upstream that may not be used is refused with the setting's own words."""
    with pytest.raises(StartError, match="upstream must be https"):
        settle_settings(UpOptions(claimed, upstream="http://10.0.0.1/simple/"), Secrets(), PORTS, claimed)


def test_a_proxy_is_not_asked_for_what_is_here(claimed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own servers are reached directly, whatever proxy the user has, and the user's exceptions stay."""
    monkeypatch.setenv("NO_PROXY", "intranet")
    monkeypatch.delenv("no_proxy", raising=False)
    assert own_environment(claimed, {})["no_proxy"] == "intranet,127.0.0.1"


def test_servers_see_little_of_the_environment(claimed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable meant for another rclone or PostgreSQL does not change ours."""
    monkeypatch.setenv("RCLONE_AUTH_KEY", "stolen,keys")
    monkeypatch.setenv("PGPORT", "1")
    assert not {"RCLONE_AUTH_KEY", "PGPORT"} & set(bare_environment(claimed))


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("host", "index_url", "trust"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080/simple/", ""),
        ("localhost", "http://localhost:8080/simple/", ""),
        ("0.0.0.0", "http://127.0.0.1:8080/simple/", ""),
        ("::", "http://[::1]:8080/simple/", ""),
        ("10.1.2.3", "http://10.1.2.3:8080/simple/", " --trusted-host 10.1.2.3"),
    ],
)
def test_pip_is_told_to_trust_only_where_it_must(claimed: Path, host: str, index_url: str, trust: str) -> None:
    """The printed line works as it stands, without an option that it does not need."""
    settings = Settings.model_validate({"database_url": "postgresql://x/y", "host": host})
    told = announce(settings, Secrets(), 1, claimed, {})
    assert (told.index_url, told.pip) == (index_url, f"pip install --index-url {index_url}{trust} NAME")
