"""Decodes pages, and finds their encoding as browsers and installers do.

HTML (WHATWG, "Determining the character encoding"): a byte order mark beats the header, which beats a `<meta>` at the
beginning; without any it is UTF-8. JSON (RFC 8259, 8.1) is UTF-8, though some servers send a mark or UTF-16.
"""

import codecs
import json
import re

MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
PRESCAN = 4096
"""Bytes at the beginning of a page in which a `<meta>` may name its encoding; browsers read 1024."""
IN_META = re.compile(rb"""<meta\b[^>]*?\bcharset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE)
TEXTUAL = re.compile(
    r"utf-8|utf-16|utf-16-[lb]e|utf-32|ascii|iso8859-\d+|cp\d{3,4}|koi8-[rut]|mac-\w+|gbk|gb2312|gb18030|hz|big5\w*"
    r"|euc[_-]\w+|shift_jis\w*|iso2022_\w+|tis-620|johab"
)
"""Python's names of text encodings. Python also has codecs that are not: `zip`, `rot13`, `unicode_escape`."""


def decode_html(body: bytes, charset: str | None) -> str:
    """Return an HTML page as text; `charset` is the header's. Bytes that cannot be decoded become U+FFFD."""
    for mark, encoding in MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(encoding, "replace")
    named = IN_META.search(body[:PRESCAN])
    stated = _known(named[1].decode("ascii")) if named else None
    if stated and stated.startswith("utf-16"):
        # The `<meta>` could be read byte by byte, so the page is not in UTF-16.
        stated = "utf-8"
    return body.decode(_known(charset) or stated or "utf-8", "replace")


def decode_json(body: bytes, charset: str | None) -> bytes | str:
    """Return a JSON document without its byte order mark, as text if it is not UTF-8. Raises `UnicodeDecodeError`."""
    encoding = json.detect_encoding(body)
    if encoding == "utf-8-sig":
        return body[len(codecs.BOM_UTF8) :]
    if encoding != "utf-8":
        return body.decode(encoding)
    try:
        body.decode()
    except UnicodeDecodeError:
        # Many servers name a charset out of habit, so the header counts only if the body is not UTF-8.
        if (stated := _known(charset)) in (None, "utf-8"):
            raise
        return body.decode(stated)
    return body


def _known(label: str | None) -> str | None:
    """Return Python's name of a text encoding, or None if the label names none."""
    try:
        name = codecs.lookup((label or "").strip("\"' ")).name
    except LookupError:
        return None
    if not TEXTUAL.fullmatch(name):
        return None
    # Browsers decode these two as their superset, and authors of pages expect that.
    return "cp1252" if name in ("iso8859-1", "ascii") else name
