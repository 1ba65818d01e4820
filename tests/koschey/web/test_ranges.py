"""Byte ranges, as RFC 9110 reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschey.web.conditional import Unsatisfiable, parse_range


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-9", (0, 10)),
        ("bytes=10-", (10, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-10000", (0, 100)),  # poetry's first question
        ("bytes=0-0", (0, 1)),
        ("bytes=99-", (99, 100)),
        ("bytes=99-99", (99, 100)),
        ("bytes=50-1000", (50, 100)),
        ("bytes=0-99", (0, 100)),
        (" bytes=0-9 ", (0, 10)),
    ],
)
def test_ranges(header: str, span: tuple[int, int]) -> None:
    """T-19.3: from, to, and the last ones; what lies behind the end is cut off."""
    assert parse_range(header, 100) == span


@pytest.mark.parametrize(
    ("header", "size"),
    [
        ("bytes=100-", 100),
        ("bytes=100-200", 100),
        ("bytes=-0", 100),
        ("bytes=0-", 0),
        ("bytes=0-9", 0),
        ("bytes=-1", 0),
    ],
)
def test_unsatisfiable(header: str, size: int) -> None:
    """T-19.3: a range without a single byte of the file is 416."""
    with pytest.raises(Unsatisfiable):
        parse_range(header, size)


@pytest.mark.parametrize(
    "header",
    [
        *(None, "", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=9-0", "bytes=0-1,5-6", "lines=0-9", "bytes 0-9"),
        *("bytes=+1-2", "bytes=1--2", "bytes=0x1-2", "bytes=\u0661-\u0662", "bytes=" + "9" * 5000 + "-"),
    ],
)
def test_what_is_no_range_is_ignored(header: str | None) -> None:
    """What cannot be read, or asks for several ranges, is answered with the whole file."""
    assert parse_range(header, 100) is None


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 200))
def test_ranges_are_slices(first: int, last: int, size: int) -> None:
    """A range is the slice that RFC 9110 defines, and never leaves the file."""
    content = bytes(index % 256 for index in range(size))
    expected = content[first : last + 1]
    try:
        span = parse_range(f"bytes={first}-{last}", size)
    except Unsatisfiable:
        assert first >= size
    else:
        assert span is None if last < first else span is not None
        if span is not None:
            assert (content[slice(*span)], span[1] - span[0]) == (expected, len(expected))


@given(st.integers(1, 300), st.integers(1, 200))
def test_last_bytes(count: int, size: int) -> None:
    """`bytes=-N` is the last N bytes, or all that there are."""
    span = parse_range(f"bytes=-{count}", size)
    assert span is not None
    assert bytes(range(size))[slice(*span)] == bytes(range(size))[-count:]
