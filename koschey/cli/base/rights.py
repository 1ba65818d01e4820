"""What the commands about accounts, tokens and grants share."""

from koschey.governance.accounts import AccountChange
from koschey.governance.grants import GrantShown
from koschey.terminal.lines import say, say_json

NO_ADMIN = (
    "koschey: WARNING: no account may administer this index any more; only this command line can: "
    "koschey account add NAME --role admin"
)


def print_change(word: str, change: AccountChange, *, as_json: bool) -> None:
    """Print what a change of an account did."""
    if as_json:
        say_json({"action": word, "account": change.name, "serial": change.serial})
    else:
        done = f"serial {change.serial}" if change.serial is not None else "nothing to change; this is already the case"
        say(f"{word} {change.name}: {done}")
    warn_if_no_admin(none=change.no_admin_left)


def warn_if_no_admin(*, none: bool) -> None:
    """Warn on standard error that nobody is left who may administer."""
    if none:
        say(NO_ADMIN, err=True)


def grant_words(grant: GrantShown) -> str:
    """Return a grant in words: `maintainer of acme-* to the group web`."""
    who = grant.account if grant.account is not None else f"the group {grant.group}"
    where = "" if grant.index == "*" else f" in {grant.index}"
    what = "everything" if grant.scope == "*" else grant.scope
    return f"{grant.role} of {what}{where} to {who}"
