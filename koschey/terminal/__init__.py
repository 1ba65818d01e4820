"""The terminal: the only way in which commands print. It cleans every text, and reads none of them as markup.

A reason that a stranger sent must neither hide what stands beside it nor look like a line of Koschey's own.

    lines    lines, JSON and documents
    tables   tables and styled texts, by rich
"""
