"""The contract: what every file of this project promises, checked by `make check`.

A rule (`rules/`) takes the project and yields a `Finding` for each place that breaks it,
saying what is wrong and how to mend it. Its page in `docs/rules/` has examples, which are its
tests. Nothing of the project is imported or run: the rules read its files, so that they need
nothing installed.
"""
