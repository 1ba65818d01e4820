"""The terminal. Commands print only through this package: it cleans every text, and reads none as markup.

A reason that a client sent must neither hide the text beside it nor look like a line of Koschey's own.

    lines    lines, JSON and documents
    tables   tables and styled texts, by rich
"""
