"""Commands about the policy: show it, change it, keep it in version control, and see what it comes to."""

from pathlib import Path

import click

from koschey.cli.root import DATA, JSON, REASON, YES, cli, run_on
from koschey.terminal import Terminal

SUBJECT = click.option("--subject", metavar="CHECK[/CODE]", help="The check, or one code of it; for the kind check.")


@cli.group()
def policy() -> None:
    """Say what is held, for how long, and what is served all the same.

    A SCOPE is a project, a release 'NAME==VERSION', 'NAME-*' for a name and all that begin so, '@upstream' for all
    that is mirrored, or '*'. Where several rules of a kind cover a file, the one with the narrowest scope decides.
    """


@policy.command()
@click.option("--project", metavar="NAME", help="Only the rules that cover it.")
@DATA
@JSON
def show(project: str | None, data: Path | None, *, as_json: bool) -> None:
    """List the rules in force, and what counts where none says otherwise."""
    from koschey.commands.policy_shown import show  # noqa: PLC0415

    run_on(data, lambda settings: show(settings, project, as_json=as_json, out=Terminal()))


@policy.command("set")
@click.argument("kind")
@click.argument("scope")
@click.argument("value", required=False)
@SUBJECT
@click.option("--expires", metavar="WHEN", help="When it ends: '2027-01-31', '2027-01-31T12:00Z', or '14d'.")
@click.option("--ticket", help="Where it was asked for.")
@REASON
@YES
@DATA
@JSON
def set_(
    kind: str,
    scope: str,
    value: str | None,
    subject: str | None,
    expires: str | None,
    ticket: str | None,
    reason: str,
    data: Path | None,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Put a rule in force, in place of the one of the same kind, scope and subject.

    The kinds window, unknown-age and withdrawn take days or 'never'. The kind check takes off, note, hold or block,
    and a --subject. These take no VALUE, for they are in force or not: trusted, blocked, reserved, first-seen,
    allowed-only, attested, observed, announced, second-person.

    Where the rule hides what is in use, the command says how much, and asks for the scope.

    Example: koschey policy set window 'acme-*' 2 --reason 'our partners'
    """
    from koschey.commands.policy import set_policy_rule  # noqa: PLC0415
    from koschey.governance.terms import Terms  # noqa: PLC0415

    terms = Terms(kind, scope, value, subject, reason, ticket=ticket)
    run_on(data, lambda settings: set_policy_rule(settings, terms, expires, yes=yes, as_json=as_json))


@policy.command()
@click.argument("kind")
@click.argument("scope")
@SUBJECT
@REASON
@YES
@DATA
@JSON
def unset(
    kind: str, scope: str, subject: str | None, reason: str, data: Path | None, *, yes: bool, as_json: bool
) -> None:
    """Lift a rule. What it only closed is served again; what it let out stays out.

    Files of releases that waited, and were blocked by it, stay blocked until they are unblocked; the answer says how.

    Example: koschey policy unset window 'acme-*' --reason 'the contract ended'
    """
    from koschey.commands.policy import unset_policy_rule  # noqa: PLC0415

    lifted = (kind, scope, subject, reason)
    run_on(data, lambda settings: unset_policy_rule(settings, *lifted, yes=yes, as_json=as_json))


@policy.command()
@click.argument("scope", metavar="NAME[==VERSION]")
@DATA
@JSON
def explain(scope: str, data: Path | None, *, as_json: bool) -> None:
    """Say which rules decide (>) about a project or a release, and how each of its files stands.

    Example: koschey policy explain 'six==1.17.0'
    """
    from koschey.commands.policy import usual_of  # noqa: PLC0415
    from koschey.commands.policy_shown import explain_scope  # noqa: PLC0415

    run_on(data, lambda settings: explain_scope(settings, scope, usual_of(settings), as_json=as_json, out=Terminal()))


@policy.command()
@DATA
@JSON
def observed(data: Path | None, *, as_json: bool) -> None:
    """List what is served only because of observation, and what would become of it without."""
    from koschey.commands.policy import usual_of  # noqa: PLC0415
    from koschey.commands.policy_shown import show_observed  # noqa: PLC0415

    run_on(data, lambda settings: show_observed(settings, usual_of(settings), as_json=as_json, out=Terminal()))


@policy.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, allow_dash=True))
@DATA
def export(file: str | None, data: Path | None) -> None:
    """Write all rules but exceptions to FILE, or to standard output, as TOML.

    Example: koschey policy export policy.toml
    """
    from koschey.commands.policy import export_policy  # noqa: PLC0415

    run_on(data, lambda settings: export_policy(settings, None if file in (None, "-") else Path(file)))


@policy.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--dry-run", is_flag=True, help="Change nothing; say which files would appear and disappear.")
@click.option("--reason", help="Why; it is kept with every rule that changes.")
@YES
@DATA
@JSON
def apply(file: str, reason: str | None, data: Path | None, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Put exactly the rules of FILE in force, in one transaction. Exceptions stay.

    Where that hides what is in use, the command says how much, and asks for the word policy.

    Example: koschey policy apply policy.toml --dry-run
    """
    from koschey.commands.policy import apply_policy_file  # noqa: PLC0415

    if reason is None and not dry_run:
        raise click.UsageError("Missing option '--reason'.")
    options = {"dry_run": dry_run, "yes": yes, "as_json": as_json}
    run_on(data, lambda settings: apply_policy_file(settings, file, reason, **options))
