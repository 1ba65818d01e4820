"""Modules that several commands share.

lazy_group    groups whose commands are modules, imported when they are used
options       options that many commands have
instance      the settings and the database that a command works on
confirmation  confirmation before a change hides files that are in use
decision      the commands that decide about releases
hosted        the commands that change hosted projects
handover      the commands that hand a name over
rows          values as tables and JSON show them
"""
