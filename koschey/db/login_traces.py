"""Statements on `login_trace`: what Koschey remembers of logins, each until a time by PostgreSQL's clock."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from koschey.db.pool import Database

SELECT_TRACES = """
    SELECT kind, extract(epoch FROM trace.until - koschey_now())::float8 AS seconds
      FROM login_trace AS trace JOIN unnest($1::text[], $2::text[]) AS asked (kind, subject) USING (kind, subject)
     WHERE trace.until > koschey_now()
"""
# In a fixed order: otherwise two statements about the same rows could deadlock.
EXTEND_TRACES = """
    INSERT INTO login_trace AS trace (kind, subject, until)
    SELECT kind, subject, koschey_now() + least(span, $4::interval)
      FROM unnest($1::text[], $2::text[], $3::interval[]) AS added (kind, subject, span)
     ORDER BY kind, subject
    ON CONFLICT (kind, subject) DO UPDATE SET until = least(
        greatest(trace.until, koschey_now()) + (excluded.until - koschey_now()), koschey_now() + $4::interval)
    RETURNING kind, extract(epoch FROM trace.until - koschey_now())::float8 AS seconds
"""
UPSERT_TRACE = """
    INSERT INTO login_trace AS trace (kind, subject, until) VALUES ($1, $2, koschey_now() + $3::interval)
    ON CONFLICT (kind, subject) DO UPDATE SET until = greatest(trace.until, excluded.until)
"""
DELETE_TRACE = "DELETE FROM login_trace WHERE kind = $1 AND subject = $2"
DELETE_FORGOTTEN_TRACES = "DELETE FROM login_trace WHERE until <= koschey_now()"


class Trace(NamedTuple):
    """A trace: its kind, its subject, and the time that one event adds to it."""

    kind: str
    subject: str
    span: timedelta


async def select_traces(db: Database, traces: Sequence[Trace]) -> dict[str, float]:
    """Return for how many more seconds each kind is remembered. A kind that is not in the result is forgotten."""
    rows = await db.fetch(SELECT_TRACES, [trace.kind for trace in traces], [trace.subject for trace in traces])
    return {row["kind"]: row["seconds"] for row in rows}


async def extend_traces(db: Database, traces: Sequence[Trace], at_most: timedelta) -> dict[str, float]:
    """Add each trace's span to its time, which never exceeds `at_most`. Returns the seconds of each kind."""
    kinds, subjects, spans = zip(*traces, strict=True)
    rows = await db.fetch(EXTEND_TRACES, kinds, subjects, spans, at_most)
    return {row["kind"]: row["seconds"] for row in rows}


async def shorten_traces(db: Database, traces: Sequence[Trace], at_most: timedelta) -> None:
    """Undo `extend_traces`."""
    await extend_traces(db, [trace._replace(span=-trace.span) for trace in traces], at_most)


async def upsert_trace(db: Database, trace: Trace) -> None:
    """Remember a trace for its span from now on, or longer if it is already remembered for longer."""
    await db.execute(UPSERT_TRACE, trace.kind, trace.subject, trace.span)


async def delete_trace(db: Database, trace: Trace) -> None:
    """Forget a trace at once."""
    await db.execute(DELETE_TRACE, trace.kind, trace.subject)


async def delete_forgotten_traces(db: Database) -> None:
    """Delete the rows of expired traces."""
    await db.execute(DELETE_FORGOTTEN_TRACES)
