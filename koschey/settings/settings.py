"""All settings of a Koschey process: `KOSCHEY_*` from the environment, or from the file that `koschey up` writes.

PostgreSQL holds everything that an operator changes while Koschey runs: rules, tokens, decisions.
"""

from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, PostgresDsn, SecretStr, field_validator, model_validator

from koschey.addresses import Addresses, check_public_address
from koschey.settings.hosts import (
    UNIX,
    Host,
    in_url,
    listening_host,
    parse_host,
    parse_hosts,
    parse_proxies,
    socket_path,
)
from koschey.settings.private_hosts import Network, PrivateHosts, host_of, parse_private_hosts
from koschey.settings.signal_decisions import SignalDecisions, SignalSetting

PREFIX = "KOSCHEY_"
REDIRECTS_FOR = 60
"""Seconds for which a URL of the bucket is valid that a client was redirected to."""
MAX_LOOKS = 20
"""Maximum number of further requests before an absence is confirmed."""
MAX_MINUTES = 43_200
"""Maximum minutes after which a further request confirms an absence: 30 days."""


class Settings(BaseModel):
    """One field per setting; the name of its variable is the field's in capitals behind `KOSCHEY_`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    database_url: PostgresDsn = Field(
        repr=False, description="PostgreSQL, as a URL: `postgresql://user:password@host:port/name`"
    )

    s3_endpoint: AnyHttpUrl | None = Field(None, description="S3 server; empty means AWS")
    s3_bucket: str = Field("koschey", min_length=3, max_length=63, description="bucket that holds all bytes")
    s3_region: str = Field("us-east-1", description="region of the bucket")
    s3_access_key: str | None = Field(None, description="access key; empty means the AWS credential chain")
    s3_secret_key: SecretStr | None = Field(None, description="secret of the access key")

    temporal_address: str = Field("127.0.0.1:7233", description="Temporal frontend, `host:port`")
    temporal_namespace: str = Field("default", description="Temporal namespace")
    temporal_tls: bool = Field(False, description="speak TLS to Temporal")
    temporal_tls_ca: Path | None = Field(None, description="CA file that signed Temporal's certificate")
    temporal_tls_cert: Path | None = Field(None, description="client certificate for mTLS")
    temporal_tls_key: Path | None = Field(None, description="key of the client certificate")
    decisions_by_signal: SignalSetting = Field(
        SignalDecisions.CODE,
        description="what a signal to a Temporal workflow needs to decide: `code`, a reviewer's code; `trusted`, the "
        "name of a reviewer, if Temporal has logins of its own; `off`: no signal decides",
    )

    upstream: AnyHttpUrl | None = Field(None, description="Simple API of the mirrored index; empty means PyPI")
    allow_private_upstream: bool = Field(
        False, description="allow the upstream's own host to be inside your network and to use plain http"
    )
    private_hosts: str | None = Field(
        None,
        description="other hosts inside your network that Koschey may connect to, for files or advisories: names, "
        "`name:port` or networks (CIDR), separated by commas",
    )
    quarantine_days: Annotated[float, Field(ge=0, le=3650)] = Field(
        7, description="days for which a new public release stays in quarantine"
    )
    page_freshness: Annotated[float, Field(ge=0, le=1e9)] = Field(
        600, description="seconds after which a mirrored page is refreshed, in the background of the next request"
    )
    follow_upstream: bool = Field(
        True,
        description="let the worker refresh mirrored pages that no client requests, so that withdrawals are noticed",
    )
    upstream_403_is_absent: bool = Field(
        False,
        description='read a 403 of the upstream as "no such project": buckets without a listing, such as '
        "PyTorch's, answer so; otherwise a 403 is an error",
    )
    absence_confirmed_after: str = Field(
        "5,15,60",
        description="minutes after which further requests confirm that a page, or a file on it, is gone from the "
        "upstream; until then nothing of it is released automatically",
    )
    max_page_mib: Annotated[float, Field(gt=0)] = Field(40, description="maximum size of an upstream's page, in MiB")
    max_file_mib: Annotated[float, Field(gt=0)] = Field(
        10240, description="maximum size of a mirrored or uploaded file, in MiB"
    )
    max_form_fields: Annotated[int, Field(ge=100, le=1_000_000)] = Field(
        20_000, description="maximum number of fields in one upload form; a wheel with many extras has thousands"
    )
    max_form_mib: Annotated[float, Field(ge=1, le=30)] = Field(
        12, description="maximum size of all fields of one upload form together, in MiB; METADATA may have 10"
    )
    sigstore_trust_root: Path | None = Field(
        None, description="`trusted_root.json` of a private Sigstore; empty means the public one's, as installed"
    )

    advisories: str | None = Field(
        None,
        description="where Koschey reads advisories (OSV): an https URL, a file or a folder; empty means nowhere",
    )
    advisories_max_age: Annotated[float, Field(gt=0, le=8760)] = Field(
        48,
        description="hours for which advisories count after they were read; when they are older, nothing is "
        "released automatically",
    )
    webhook: AnyHttpUrl | None = Field(
        None,
        repr=False,
        description="URL to which Koschey sends alerts as JSON; empty means that alerts are only stored",
    )
    webhook_secret: SecretStr | None = Field(
        None, description="key of the HMAC-SHA256 in `X-Koschey-Signature`, with which the webhook verifies the sender"
    )
    allow_private_webhook: bool = Field(
        False, description="allow the webhook to use plain http and addresses inside your network"
    )

    downloads_kept_days: Annotated[float, Field(ge=1, le=36500)] | None = Field(
        None, description="days for which the log of downloads is kept, at least; empty means permanently"
    )
    anonymous_reading: bool = Field(
        True, description="let every client read the index; `false` requires a login or a token"
    )
    host: str = Field(
        "127.0.0.1", description="address that the web process listens on, or `unix:/path` for a unix socket"
    )
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8080, description="port that the web process listens on")
    base_url: AnyHttpUrl | None = Field(
        None, description="public address of the index behind a proxy, perhaps with a path; default `http://host:port`"
    )
    hosts: str | None = Field(
        None,
        description="further host names that requests may be for, separated by commas; if `KOSCHEY_BASE_URL` is "
        "set, others get 421",
    )
    trusted_proxies: str | None = Field(
        None,
        description="networks (CIDR, separated by commas) of your proxies, whose `X-Forwarded-For` or `Forwarded` is "
        "believed; `unix:` means every client of the unix socket",
    )
    shared_caching_seconds: Annotated[int, Field(ge=0, le=31_536_000)] = Field(
        0,
        description="seconds for which shared caches may keep files; a block takes effect there that much later",
    )
    web_processes: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="number of web processes that share the port"
    )
    spool: Path | None = Field(
        None, description="folder for files that are being transferred; default: the system's temporary folder"
    )
    files: Literal["send", "redirect"] = Field(
        "send",
        description="how stored files reach clients: `send`; or `redirect`, to URLs of the bucket that are valid for "
        "60 seconds, if it is nearer to clients: a block or recall does not end such a URL",
    )
    cache_dir: Path | None = Field(
        None,
        description="folder for copies of stored files, shared by the web processes of a host and safe to delete; "
        "default: `cache` beside the spool",
    )
    cache_mib: Annotated[float, Field(ge=0)] | None = Field(
        None,
        description="maximum size of these copies, in MiB; 0 keeps none; default: 10 GiB, or a tenth of the free disk "
        "if that is less",
    )
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="minimum log level")

    @field_validator("absence_confirmed_after")
    @classmethod
    def _looks_have_an_order(cls, text: str) -> str:
        _parse_minutes(text)
        return text

    @field_validator("private_hosts")
    @classmethod
    def _hosts_are_hosts(cls, text: str | None) -> str | None:
        parse_private_hosts(text or "")
        return text

    @model_validator(mode="after")
    def _http_only_when_private(self) -> Self:
        if self.upstream and self.upstream.scheme != "https" and not self._is_private(self.upstream_url):
            raise ValueError(
                "KOSCHEY_UPSTREAM: the upstream must be https, or KOSCHEY_ALLOW_PRIVATE_UPSTREAM must be set"
            )
        return self

    @model_validator(mode="after")
    def _advisories_from_somewhere_safe(self) -> Self:
        if (self.advisories or "").startswith("http://") and not self._is_private(self.advisories or ""):
            raise ValueError("KOSCHEY_ADVISORIES: a URL must be https, or its host listed in KOSCHEY_PRIVATE_HOSTS")
        if "://" in (self.advisories or "") and not (self.advisories or "").startswith(("http://", "https://")):
            raise ValueError("KOSCHEY_ADVISORIES: give an https URL, or the path of a file or a folder")
        return self

    @model_validator(mode="after")
    def _webhook_proves_itself(self) -> Self:
        if self.webhook is None:
            return self
        if self.webhook.scheme != "https" and not self.allow_private_webhook:
            raise ValueError("KOSCHEY_WEBHOOK: the webhook must be https, or KOSCHEY_ALLOW_PRIVATE_WEBHOOK must be set")
        if self.webhook.username or self.webhook.password:
            raise ValueError(
                "KOSCHEY_WEBHOOK: the URL contains credentials; set KOSCHEY_WEBHOOK_SECRET instead, to sign alerts"
            )
        return self

    @field_validator("temporal_address")
    @classmethod
    def _temporal_has_a_port(cls, text: str) -> str:
        host = parse_host(text)
        if host is None or host.port is None:
            raise ValueError(f"{text[:80]!r} is not a host and a port; write temporal:7233, or [::1]:7233 for IPv6")
        return text

    @model_validator(mode="after")
    def _tls_files_are_used_and_whole(self) -> Self:
        if (self.temporal_tls_cert is None) != (self.temporal_tls_key is None):
            raise ValueError("KOSCHEY_TEMPORAL_TLS_CERT: set both this and KOSCHEY_TEMPORAL_TLS_KEY, or neither")
        if not self.temporal_tls and self.temporal_tls_ca:
            raise ValueError("KOSCHEY_TEMPORAL_TLS_CA: TLS is off; set KOSCHEY_TEMPORAL_TLS to true, or unset the CA")
        return self

    @field_validator("host")
    @classmethod
    def _host_can_be_listened_on(cls, text: str) -> str:
        return listening_host(text)

    @model_validator(mode="after")
    def _addresses_are_addresses(self) -> Self:
        _ = self.proxy_networks
        _ = self.own_hosts
        if self.base_url is not None:
            check_public_address(str(self.base_url))
        elif socket_path(self.host):
            raise ValueError("KOSCHEY_BASE_URL: users cannot reach a unix socket; set the address of your proxy")
        return self

    @property
    def proxy_networks(self) -> tuple[Network, ...]:
        """The networks of the operator's proxies. Raises `ValueError` if one is not a network."""
        texts = [text.strip() for text in (self.trusted_proxies or "").split(",")]
        return tuple(parse_proxies(text) for text in texts if text and text != UNIX)

    @property
    def proxy_at_socket(self) -> bool:
        """Whether the peer at the unix socket is believed as a proxy."""
        return UNIX in [text.strip() for text in (self.trusted_proxies or "").split(",")]

    @property
    def allowed_hosts(self) -> PrivateHosts:
        """The hosts inside the operator's network that Koschey may connect to, also over plain http."""
        listed = parse_private_hosts(self.private_hosts or "")
        return listed.with_urls([self.upstream_url]) if self.allow_private_upstream else listed

    def _is_private(self, url: str) -> bool:
        host, port = host_of(url)
        return self.allowed_hosts.name(host, port) or self.allowed_hosts.cover(host)

    @property
    def confirmed_after(self) -> tuple[timedelta, ...]:
        """When further requests confirm an absence, counted from the first one that found it."""
        return _parse_minutes(self.absence_confirmed_after)

    @property
    def window(self) -> timedelta:
        """How long a new public release is held."""
        return timedelta(days=self.quarantine_days)

    @property
    def downloads_kept(self) -> timedelta | None:
        """How long downloads are kept in the log; None: permanently."""
        return timedelta(days=self.downloads_kept_days) if self.downloads_kept_days is not None else None

    @property
    def redirects_for(self) -> int:
        """Seconds for which a client may download a file from the bucket after it was redirected; 0: never."""
        return REDIRECTS_FOR if self.files == "redirect" else 0

    @property
    def cache_bytes(self) -> int | None:
        """The maximum size of the copies on the local disk; None: the default."""
        return int(self.cache_mib * 2**20) if self.cache_mib is not None else None

    @property
    def feed_max_age(self) -> timedelta:
        """How long advisories count after they were read."""
        return timedelta(hours=self.advisories_max_age)

    @property
    def upstream_url(self) -> str:
        """The upstream's Simple API with exactly one slash at its end."""
        return str(self.upstream or _public_index()).rstrip("/") + "/"

    @property
    def public_url(self) -> str:
        """The public address of Koschey, without a slash at its end."""
        return str(self.base_url or f"http://{in_url(self.host)}:{self.port}").rstrip("/")

    @property
    def addresses(self) -> Addresses:
        """The addresses of everything that this index serves."""
        return Addresses(self.public_url)

    @property
    def own_hosts(self) -> frozenset[Host]:
        """The hosts that requests may be for; empty if all are allowed. Raises `ValueError` if one is not a host."""
        further = parse_hosts(self.hosts or "")
        if self.base_url is None:
            return frozenset()
        public = parse_host(in_url(self.base_url.host or ""))
        return further | {Host(public.name if public else "", None)}


def _public_index() -> str:
    # Imported only when it is needed: it brings an HTML parser and an HTTP client, which most commands never use.
    from pypi_simple import PYPI_SIMPLE_ENDPOINT  # noqa: PLC0415

    return PYPI_SIMPLE_ENDPOINT


def _parse_minutes(text: str) -> tuple[timedelta, ...]:
    try:
        minutes = [float(part) for part in text.split(",")]
    except ValueError:
        minutes = []
    rising = all(0 < before < after <= MAX_MINUTES for before, after in pairwise([1e-9, *minutes]))
    if not minutes or len(minutes) > MAX_LOOKS or not rising:
        raise ValueError(f"{text[:80]!r} is not a list of rising minutes; separate them with commas, such as 5,15,60")
    return tuple(timedelta(minutes=each) for each in minutes)
