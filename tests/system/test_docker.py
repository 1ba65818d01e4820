"""What can be known of docker/ without an engine: that its files agree with each other and with the settings."""

import fnmatch
import json
import os
import re
import shlex
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml
from yamllint import linter  # type: ignore[import-untyped]
from yamllint.config import YamlLintConfig  # type: ignore[import-untyped]

from koschey.embedded.binaries import find_binaries
from koschey.embedded.environment import DATABASE, ROLE
from koschey.settings import PREFIX, Settings, load_settings
from tests.support.postgres import Postgres, new_server

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
COMPOSE = ROOT / "docker" / "compose.yaml"
PAGE = ROOT / "docs" / "containers.md"

OURS = ("web", "worker", "migrate")
ROOTS = {"0", "root", ""}
SHELLS = {"sh", "bash", "ash", "dash", "zsh"}
SETTINGS = {PREFIX + name.upper() for name in Settings.model_fields}

YAML_RULES = YamlLintConfig(
    "extends: default\nrules: {document-start: disable, line-length: {max: 120}, braces: {max-spaces-inside: 0}}\n"
)

VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|\{(?P<name>\w+)(?:(?P<how>:[-?])(?P<rest>[^}]*))?\})")

type Service = dict[str, Any]


def substituted(text: str, values: dict[str, str]) -> str:
    """Compose's own substitution, for the forms used here: `$$`, `${A}`, `${A:-default}`, `${A:?message}`."""

    def one(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        value = values.get(match["name"], "")
        if value or match["how"] is None:
            return value
        assert match["how"] == ":-", f"{match['name']} has no value: {match['rest']}"
        return str(match["rest"])

    return VARIABLE.sub(one, text)


def required(text: str) -> set[str]:
    return {match["name"] for match in VARIABLE.finditer(text) if match["how"] == ":?"}


@pytest.fixture
def source() -> str:
    return COMPOSE.read_text()


@pytest.fixture
def raw(source: str) -> dict[str, Any]:
    """The file before substitution."""
    loaded = yaml.safe_load(source)
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture
def compose(source: str) -> dict[str, Any]:
    """The file as Compose would run it, with a value for every variable that has to be set."""
    loaded = yaml.safe_load(substituted(source, {name: f"test{name.lower()}" for name in required(source)}))
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture
def services(compose: dict[str, Any]) -> dict[str, Service]:
    found = compose["services"]
    assert isinstance(found, dict)
    return found


@pytest.fixture
def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions: name and the rest, with continuation lines joined."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in text.splitlines() if line.strip()]


@pytest.fixture
def last_stage(instructions: list[tuple[str, str]]) -> list[tuple[str, str]]:
    start = max(place for place, (name, _) in enumerate(instructions) if name == "FROM")
    return instructions[start:]


def words(command: object) -> list[str]:
    if command is None:
        return []
    if isinstance(command, str):
        return shlex.split(command)
    assert isinstance(command, list)
    return [str(word) for word in command]


# The Compose file


def test_compose_file_has_no_lint(source: str) -> None:
    """yamllint must find nothing in compose.yaml."""
    assert [str(problem) for problem in linter.run(source, YAML_RULES)] == []


def test_every_koschey_variable_is_a_setting(source: str, instructions: list[tuple[str, str]]) -> None:
    """Every name with Koschey's prefix, in either file, must be a field of the settings."""
    image = " ".join(rest for name, rest in instructions if name in {"ENV", "ARG"})
    named = set(re.findall(rf"\b{PREFIX}\w+", source)) | set(re.findall(rf"\b{PREFIX}\w+", image))
    assert named
    assert named - SETTINGS == set()


@pytest.mark.parametrize("name", OURS)
def test_environment_loads(services: dict[str, Service], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings must load from exactly the environment that the service is given, and point at its neighbours."""
    for variable in [variable for variable in os.environ if variable.startswith(PREFIX)]:
        monkeypatch.delenv(variable)
    for variable, value in services[name]["environment"].items():
        monkeypatch.setenv(variable, str(value))

    settings = load_settings()

    (database,) = settings.database_url.hosts()
    assert settings.s3_endpoint is not None
    assert {database["host"], settings.s3_endpoint.host, settings.temporal_address.split(":")[0]} == {
        "postgres",
        "s3",
        "temporal",
    }
    assert database["password"] == "testindex_db_password"
    assert settings.s3_secret_key is not None
    assert settings.s3_secret_key.get_secret_value() == services["s3"]["environment"]["ROOT_SECRET_ACCESS_KEY"]
    assert settings.s3_access_key == services["s3"]["environment"]["ROOT_ACCESS_KEY_ID"]
    assert settings.s3_region == services["s3"]["environment"]["VGW_REGION"]
    assert str(settings.s3_endpoint.port) == services["s3"]["environment"]["VGW_PORT"].removeprefix(":")
    assert settings.public_url == "http://127.0.0.1:8080"


def test_options_of_the_env_file_reach_the_settings(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting written into docker/.env must take effect in web."""
    chosen = {
        PREFIX + "QUARANTINE_DAYS": "14",
        PREFIX + "BASE_URL": "https://packages.example.com",
        PREFIX + "DECISIONS_BY_SIGNAL": "false",
        PREFIX + "WEB_PROCESSES": "4",
    }
    values = dict.fromkeys(required(source), "x") | chosen
    web = yaml.safe_load(substituted(source, values))["services"]["web"]
    for variable, value in web["environment"].items():
        monkeypatch.setenv(variable, str(value))

    settings = load_settings()

    assert (settings.quarantine_days, settings.decisions_by_signal, settings.web_processes) == (14, False, 4)
    assert settings.public_url == "https://packages.example.com"


def test_every_server_has_a_health_check_or_a_reason(
    services: dict[str, Service], last_stage: list[tuple[str, str]]
) -> None:
    """Each service that keeps running must have a health check, its own or the image's, or say why not."""
    image_has_one = any(name == "HEALTHCHECK" for name, _ in last_stage)
    for name, service in services.items():
        if service.get("x-one-shot"):
            assert service.get("restart", "no") in {"no", "on-failure:5"}, name
            continue
        check = service.get("healthcheck", {"inherited": image_has_one and name in OURS})
        if check.get("disable"):
            assert len(service["x-no-healthcheck"]) > 20, name
        else:
            assert check.get("test") or check.get("inherited"), name


def test_one_shot_services_of_our_image_switch_the_images_check_off(services: dict[str, Service]) -> None:
    """worker and migrate must not run the image's health check, which asks web's port."""
    assert services["worker"]["healthcheck"] == {"disable": True}
    assert services["migrate"]["healthcheck"] == {"disable": True}


def test_ours_share_one_image_and_run_no_shell(services: dict[str, Service], last_stage: list[tuple[str, str]]) -> None:
    """web, worker and migrate must be one image, started as `koschey COMMAND` without a shell between."""
    assert len({services[name]["image"] for name in OURS}) == 1
    assert len({json.dumps(services[name]["build"]) for name in OURS}) == 1
    assert [json.loads(rest) for name, rest in last_stage if name == "ENTRYPOINT"] == [["koschey"]]
    for name in OURS:
        assert "entrypoint" not in services[name]
        assert words(services[name]["command"]) == [name]


def test_build_names_the_dockerfile(services: dict[str, Service]) -> None:
    """The build must take this Dockerfile with the checkout's root as its context."""
    build = services["web"]["build"]
    assert (COMPOSE.parent / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]) == DOCKERFILE


def test_dependencies_exist_and_can_come_true(services: dict[str, Service]) -> None:
    """Each dependency must exist, be waited for in a way it can fulfil, and lie in no circle."""
    for name, service in services.items():
        for target, how in service.get("depends_on", {}).items():
            other = services[target]
            if how["condition"] == "service_completed_successfully":
                assert other.get("x-one-shot"), f"{name} waits for {target} to end"
            else:
                assert how["condition"] == "service_healthy"
                assert other.get("healthcheck", {}).get("test"), f"{name} waits for {target} to be healthy"

    def depth(name: str, above: tuple[str, ...] = ()) -> int:
        assert name not in above, f"circle: {(*above, name)}"
        below = services[name].get("depends_on", {})
        return 1 + max((depth(target, (*above, name)) for target in below), default=0)

    assert max(depth(name) for name in services) > 1


def test_web_and_worker_wait_for_the_migration(services: dict[str, Service]) -> None:
    """Neither web nor worker may start on a database that migrate has not finished."""
    for name in ("web", "worker"):
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_web_starts_without_temporal(services: dict[str, Service]) -> None:
    """The request path must not depend on Temporal, not even at its start."""
    seen: set[str] = set()
    waiting = ["web"]
    while waiting:
        name = waiting.pop()
        seen.add(name)
        waiting += services[name].get("depends_on", {})
    assert not [name for name in seen if name.startswith("temporal")]


@pytest.mark.parametrize("name", OURS)
def test_our_services_are_locked_down(services: dict[str, Service], name: str) -> None:
    """No service of ours may run as root, gain privileges, or write to its own image."""
    service = services[name]
    assert str(service["user"]).split(":")[0] not in ROOTS
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not service.get("privileged")
    assert "cap_add" not in service


def test_only_the_bucket_maker_is_root(services: dict[str, Service]) -> None:
    """Only the one-shot service that gives the volume to the S3 server may be root, and it has no network."""
    roots = [name for name, service in services.items() if str(service.get("user", "image")).split(":")[0] in ROOTS]
    assert roots == ["s3-bucket"]
    assert services["s3-bucket"]["network_mode"] == "none"
    assert services["s3-bucket"]["x-one-shot"]


def test_only_loopback_is_published(services: dict[str, Service]) -> None:
    """Only web and the Temporal UI may publish a port, and only on loopback."""
    published = {name: service["ports"] for name, service in services.items() if service.get("ports")}
    assert set(published) == {"web", "temporal-ui"}
    assert [port for ports in published.values() for port in ports if not str(port).startswith("127.0.0.1:")] == []
    assert not [name for name, service in services.items() if service.get("network_mode") == "host"]


def test_servers_have_no_way_out(compose: dict[str, Any]) -> None:
    """PostgreSQL, the S3 server and Temporal must be on the internal network only."""
    assert compose["networks"]["inside"]["internal"] is True
    for name in ("postgres", "s3", "temporal"):
        assert compose["services"][name]["networks"] == ["inside"]


def test_no_secret_has_a_value_in_the_file(raw: dict[str, Any]) -> None:
    """Every password and key must be a variable without a default, so that nothing starts with a known one."""
    secret = re.compile(r"PASSWORD|PWD|SECRET|ACCESS_KEY|TOKEN")
    found = 0
    for service in raw["services"].values():
        for name, value in service.get("environment", {}).items():
            if name == "KOSCHEY_WEBHOOK_SECRET":  # optional: without it nothing is signed
                assert value == f"${{{name}:-}}"
            elif secret.search(name):
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), name
                found += 1
            elif "@" in str(value):
                assert re.fullmatch(r"postgresql://\w+:\$\{\w+:\?[^}]+\}@[\w.:/]+", value), name
                found += 1
    assert found >= 10
    assert not re.search(r"PASSWORD\s+'(?!:)", raw["configs"]["databases"]["content"])


def test_page_makes_every_secret(source: str) -> None:
    """The command in docs/containers.md must make exactly the variables that the Compose file insists on."""
    (names,) = re.findall(r"for name in ([A-Z0-9_ ]+); do", PAGE.read_text())
    assert set(names.split()) == required(source)


def test_page_names_every_option(source: str) -> None:
    """Each setting that docker/.env may hold must be named in docs/containers.md."""
    optional = {match["name"] for match in VARIABLE.finditer(source) if match["how"] == ":-"}
    assert [name for name in sorted(optional) if name not in PAGE.read_text()] == []


def test_images_are_pinned(services: dict[str, Service], instructions: list[tuple[str, str]]) -> None:
    """Every image that is pulled must name a full version, never `latest` or a bare major."""
    pulled = {service["image"] for service in services.values() if "build" not in service}
    pulled |= {rest.split()[0] for name, rest in instructions if name == "FROM"}
    assert [image for image in pulled if not re.search(r":v?\d+\.\d+[\w.-]*$", image)] == []


def test_temporals_parts_are_of_one_version(services: dict[str, Service]) -> None:
    """Temporal's server and the tools that make its schema must be of one version."""
    versions = {
        service["image"].split(":")[1]
        for service in services.values()
        if service["image"].startswith(("temporalio/server:", "temporalio/admin-tools:"))
    }
    assert len(versions) == 1


def test_data_is_on_named_volumes(compose: dict[str, Any]) -> None:
    """What PostgreSQL and the S3 server keep must be on named volumes, where their images look for it."""
    assert set(compose["volumes"]) == {"postgres", "s3"}
    # From version 18 on the image keeps its data one level higher than before.
    assert compose["services"]["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]
    for name in ("s3", "s3-bucket"):
        assert compose["services"][name]["volumes"] == ["s3:/data"]
    bucket = compose["services"]["web"]["environment"]["KOSCHEY_S3_BUCKET"]
    assert f"mkdir -p /data/{bucket} " in compose["services"]["s3-bucket"]["command"][0]


def test_configs_are_not_mounted_on_a_read_only_root(compose: dict[str, Any]) -> None:
    """A service that takes a config written in the file must have a writable root, or it cannot be made."""
    for name, service in compose["services"].items():
        for config in service.get("configs", []):
            assert config["source"] in compose["configs"]
            assert not service.get("read_only"), name


def psql(server: Postgres, script: str) -> str:
    """Run a script as the superuser, up to the first error, and return what it prints."""
    program = find_binaries().postgres.programs / "bin" / "psql"
    options = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=on"]
    command = [str(program), *options, server.superuser_url("postgres")]
    return subprocess.run(command, input=script, capture_output=True, text=True, check=True, timeout=60).stdout


def test_database_script_makes_separate_logins(
    compose: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script must run on a new PostgreSQL and leave two plain logins that cannot enter each other's databases."""
    plain = "SELECT rolname FROM pg_roles WHERE rolcanlogin AND NOT (rolsuper OR rolcreaterole OR rolcreatedb);"
    may = (
        "SELECT r.rolname || ':' || d.datname FROM pg_database d, pg_roles r WHERE NOT d.datistemplate"
        " AND r.rolname IN ('koschey', 'temporal') AND has_database_privilege(r.oid, d.oid, 'CONNECT');"
    )
    monkeypatch.setenv("INDEX_DB_PASSWORD", "one'two")
    monkeypatch.setenv("TEMPORAL_DB_PASSWORD", "three")

    with new_server(folder / "containers") as server:
        psql(server, f"DROP DATABASE {DATABASE}; DROP ROLE {ROLE};")  # the image of the compose file makes neither
        psql(server, compose["configs"]["databases"]["content"])
        logins = set(psql(server, plain).split())
        doors = set(psql(server, may).split())

    assert logins == {"koschey", "temporal"}
    assert doors == {"koschey:koschey", "temporal:temporal", "temporal:temporal_visibility"}


@pytest.mark.parametrize("name", ["s3-bucket", "temporal-schema", "temporal-namespace"])
def test_scripts_are_valid_shell(services: dict[str, Service], name: str) -> None:
    """Each script in the file must parse as POSIX shell after Compose's substitution."""
    (script,) = services[name]["command"]
    assert services[name]["entrypoint"] == ["/bin/sh", "-euc"]
    done = subprocess.run(["sh", "-n"], check=False, input=script, capture_output=True, text=True, timeout=10)
    assert (done.returncode, done.stderr) == (0, "")


# The Dockerfile


def test_dockerfile_has_no_lint() -> None:
    """hadolint must find nothing in the Dockerfile."""
    hadolint = Path(sysconfig.get_path("scripts")) / "hadolint"
    command = [str(hadolint), "--no-color", "--failure-threshold", "style", str(DOCKERFILE)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_last_user_is_not_root(last_stage: list[tuple[str, str]], services: dict[str, Service]) -> None:
    """The image must end as a numbered user other than root, the one that the Compose file names."""
    user = [rest for name, rest in last_stage if name == "USER"][-1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert {services[name]["user"] for name in OURS} == {user}


def test_last_stage_builds_nothing(last_stage: list[tuple[str, str]]) -> None:
    """The last stage must take its packages from the first and bring neither compilers nor an installer's run."""
    runs = " ".join(rest for name, rest in last_stage if name == "RUN")
    assert not re.search(r"\b(apt|apt-get|apk|pip|uv|gcc|cc|make|curl|wget)\b", runs)
    copies = [rest for name, rest in last_stage if name == "COPY"]
    assert copies
    assert all(copy.startswith("--from=build ") for copy in copies)
    assert last_stage[0][1].split()[0].startswith("python:3.13.")
    assert "-slim" in last_stage[0][1]


def test_both_stages_have_one_base(instructions: list[tuple[str, str]]) -> None:
    """Both stages must stand on the same image, or the environment that is copied would not run."""
    assert len({rest.split()[0] for name, rest in instructions if name == "FROM"}) == 1


def test_copied_sources_exist(instructions: list[tuple[str, str]]) -> None:
    """Each source that is copied from the checkout must exist there and pass .dockerignore."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    allowed = [line.removeprefix("!") for line in lines if line.startswith("!")]
    sources = [
        word
        for name, rest in instructions
        if name == "COPY" and "--from=" not in rest
        for word in rest.split()[:-1]
        if not word.startswith("--")
    ]
    assert {"pyproject.toml", "koschey"} <= set(sources)
    assert [word for word in sources if not (ROOT / word).exists()] == []
    assert [word for word in sources if not any(fnmatch.fnmatch(word, pattern) for pattern in allowed)] == []


def test_no_secret_is_baked_in(instructions: list[tuple[str, str]]) -> None:
    """Neither ENV nor ARG may carry a secret, and .dockerignore must keep docker/.env out."""
    given = " ".join(rest for name, rest in instructions if name in {"ENV", "ARG"})
    assert not re.search(r"PASSWORD|SECRET|TOKEN|ACCESS_KEY|DATABASE_URL|INDEX_URL", given)
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert not any(fnmatch.fnmatch("docker/.env", pattern) or pattern == "docker" for pattern in allowed)


def test_health_check_is_valid_and_asks_webs_port(
    last_stage: list[tuple[str, str]], services: dict[str, Service]
) -> None:
    """The health check must be Python that compiles, run without a shell, and ask the port that web publishes."""
    (check,) = [rest for name, rest in last_stage if name == "HEALTHCHECK"]
    python, dash_c, code = json.loads(check.split("CMD", 1)[1])
    assert (python, dash_c) == ("python", "-c")
    compile(code, "HEALTHCHECK", "exec")
    assert "'/_/live'" in code
    (exposed,) = [rest for name, rest in last_stage if name == "EXPOSE"]
    assert f"'127.0.0.1', {exposed}" in code
    assert services["web"]["ports"] == [f"127.0.0.1:8080:{exposed}"]
    assert Settings.model_fields["port"].default == int(exposed)


def test_stop_signal_and_commands(last_stage: list[tuple[str, str]]) -> None:
    """The image must stop on SIGTERM, start web by default, and write no bytecode at run time."""
    said = dict(last_stage)
    assert said["STOPSIGNAL"] == "SIGTERM"
    assert json.loads(said["CMD"]) == ["web"]
    assert "PYTHONDONTWRITEBYTECODE=1" in said["ENV"]
    assert "org.opencontainers.image.licenses=" in said["LABEL"]


def test_shell_is_only_in_other_peoples_images(services: dict[str, Service]) -> None:
    """Only one-shot services of other images may start a shell."""
    for name, service in services.items():
        first = [Path(word).name for word in words(service.get("entrypoint"))[:1] + words(service.get("command"))[:1]]
        if SHELLS & set(first):
            assert service.get("x-one-shot"), name
            assert name not in OURS
