"""Commands about what the index lets out: look, decide, reserve names."""

from pathlib import Path
from typing import Any

import click

from koschey.cli.root import DATA, JSON, REASON, YES, cli, run_on
from koschey.terminal import Terminal


@cli.command()
@DATA
@JSON
def quarantine(data: Path | None, *, as_json: bool) -> None:
    """List what is held, until when and why."""
    from koschey.commands.quarantine import list_quarantine  # noqa: PLC0415

    run_on(data, lambda settings: list_quarantine(settings, as_json=as_json, out=Terminal()))


def _decision(name: str, what: str, scope: str, example: str) -> None:
    """Add one of the commands that decide; all end in the one function."""

    @cli.command(name, help=f"{what}\n\nExample: koschey {name} {example}")
    @click.argument("scope", metavar=scope)
    @REASON
    @DATA
    @JSON
    def command(scope: str, reason: str, data: Path | None, *, as_json: bool) -> None:
        from koschey.commands.quarantine import decide_scope  # noqa: PLC0415

        run_on(data, lambda settings: decide_scope(settings, name, scope, reason, as_json=as_json))


@cli.command()
@click.argument("scope", metavar="NAME[==VERSION]")
@REASON
@YES
@DATA
@JSON
def block(scope: str, reason: str, data: Path | None, *, yes: bool, as_json: bool) -> None:
    """Stop serving a release or a project.

    Where a whole project is in use, the command says by how many, and asks for the name.

    Example: koschey block 'six==1.17.0' --reason malware
    """
    from koschey.commands.quarantine import decide_scope  # noqa: PLC0415

    run_on(data, lambda settings: decide_scope(settings, "block", scope, reason, as_json=as_json, yes=yes))


_decision("approve", "Release what is held of one release, now.", "NAME==VERSION", "'six==1.17.0' --reason reviewed")
_decision("unblock", "Lift a block; the files are held again.", "NAME[==VERSION]", "six --reason 'false alarm'")
_decision(
    "trust",
    "Let new releases of a project in once their checks went through, without waiting.",
    "NAME",
    "six --reason 'our own upstream work'",
)
_decision("untrust", "Hold new releases of a project again.", "NAME", "six --reason 'new maintainer'")


@cli.command()
@click.argument("scope", metavar="NAME==VERSION")
@REASON
@click.option("--days", type=float, required=True, help="For how many days from now it is held at least.")
@DATA
@JSON
def extend(scope: str, reason: str, days: float, data: Path | None, *, as_json: bool) -> None:
    """Hold what is held of one release for longer; it never gets shorter.

    Example: koschey extend 'six==1.17.0' --days 14 --reason 'somebody reads it'
    """
    from koschey.commands.quarantine import decide_scope  # noqa: PLC0415

    run_on(data, lambda settings: decide_scope(settings, "extend", scope, reason, as_json=as_json, days=days))


@cli.command("except")
@click.argument("scope", metavar="NAME==VERSION")
@REASON
@click.option("--ticket", required=True, help="Where it was asked for.")
@click.option("--days", type=float, required=True, help="For how many days; 90 at the most.")
@click.option("--file", "filename", help="One file of the release; else all that are held now.")
@click.option("--sha256", help="Of that file: the exception is for exactly these bytes.")
@DATA
@JSON
def make_exception(scope: str, reason: str, data: Path | None, *, as_json: bool, **given: Any) -> None:
    """Serve what is held of one release for some days: these bytes, and no others.

    Example: koschey except 'six==1.17.0' --days 14 --ticket SEC-7 --reason 'fixes a hole that we have'
    """
    from koschey.commands.quarantine import decide_scope  # noqa: PLC0415

    run_on(data, lambda settings: decide_scope(settings, "except", scope, reason, as_json=as_json, **given))


@cli.command()
@click.argument("signal", type=click.Choice(["approve", "reject", "extend"]))
@click.argument("scopes", metavar="NAME[==VERSION]...", nargs=-1, required=True)
@click.option("--reason", default="", help="Why; it is put into the lines.")
@click.option("--days", type=float, help="Of extend: for how many days from now it is held at least.")
@DATA
@JSON
def code(
    signal: str, scopes: tuple[str, ...], reason: str, days: float | None, data: Path | None, *, as_json: bool
) -> None:
    """Show a code with which a signal to Temporal decides, and ready lines to send it.

    The code is good for ten minutes and once for each release, and only for the files and findings that are shown with
    it. It decides in the name of your account on this machine, as every command here does; a reviewer who is logged in
    gets one of his own from the panel or the API. NAME alone means all held releases of a project.

    Example: koschey code approve 'six==1.17.0' --reason reviewed
    """
    from koschey.commands.codes import show_code  # noqa: PLC0415

    run_on(data, lambda settings: show_code(settings, signal, scopes, reason, days, as_json=as_json))


@cli.command()
@click.argument("scope", metavar="NAME[==VERSION]")
@REASON
@YES
@DATA
@JSON
def recall(scope: str, reason: str, data: Path | None, *, yes: bool, as_json: bool) -> None:
    """Block what was let out, raise an alert, and say who took it. Two people can lift it.

    Where it is in use, the command says by how many, and asks for the name.

    Example: koschey recall 'six==1.17.0' --reason 'it steals tokens'
    """
    from koschey.commands.downloads import recall as carry_out  # noqa: PLC0415

    run_on(data, lambda settings: carry_out(settings, scope, reason, yes=yes, as_json=as_json, out=Terminal()))


@cli.command()
@click.argument("pattern", required=False)
@click.option("--reason", help="Why; it is kept with the reservation.")
@YES
@DATA
@JSON
def reserve(pattern: str | None, reason: str | None, data: Path | None, *, yes: bool, as_json: bool) -> None:
    """Keep names for private packages: NAME, or 'NAME-*'. Without a pattern: list what is reserved.

    No upstream is asked for a reserved name, and what came from one under it is blocked. Where that is in use, the
    command says by how many, and asks for the pattern. A name that is mirrored already must also be claimed, before
    anything can be uploaded under it.

    Example: koschey reserve 'acme-*' --reason 'our namespace'
    """
    from koschey.commands.reservations import list_reservations, reserve_pattern  # noqa: PLC0415

    if pattern is None:
        run_on(data, lambda settings: list_reservations(settings, as_json=as_json, out=Terminal()))
        return
    if reason is None:
        raise click.UsageError("Missing option '--reason'.")
    run_on(data, lambda settings: reserve_pattern(settings, pattern, reason, yes=yes, as_json=as_json))


@cli.command()
@click.argument("pattern")
@REASON
@DATA
@JSON
def unreserve(pattern: str, reason: str, data: Path | None, *, as_json: bool) -> None:
    """Give reserved names free again: upstreams are asked for them."""
    from koschey.commands.reservations import unreserve_pattern  # noqa: PLC0415

    run_on(data, lambda settings: unreserve_pattern(settings, pattern, reason, as_json=as_json))


@cli.command()
@click.argument("name")
@REASON
@YES
@DATA
@JSON
def claim(name: str, reason: str, data: Path | None, *, yes: bool, as_json: bool) -> None:
    """Hand a name that is mirrored to private packages, and say what was ever downloaded of it, and by whom.

    Its mirrored files are served no more, no upstream is asked for the name, and uploads are accepted. The
    command says how much of it is in use, and asks for the name.

    Example: koschey claim acme-tools --reason 'our package'
    """
    from koschey.commands.claims import claim_name  # noqa: PLC0415

    run_on(data, lambda settings: claim_name(settings, name, reason, yes=yes, as_json=as_json, out=Terminal()))


@cli.command("release-name")
@click.argument("name")
@REASON
@YES
@DATA
@JSON
def release_name(name: str, reason: str, data: Path | None, *, yes: bool, as_json: bool) -> None:
    """Hand a private name to its upstream: the reverse of claim.

    Its uploaded files are served no more, and stay in the bucket; those that were mirrored before are held again. The
    command says how much of it is in use, and asks for the name.

    Example: koschey release-name acme-tools --reason 'we gave the project up'
    """
    from koschey.commands.claims import release_private_name  # noqa: PLC0415

    options: dict[str, Any] = {"yes": yes, "as_json": as_json, "out": Terminal()}
    run_on(data, lambda settings: release_private_name(settings, name, reason, **options))
