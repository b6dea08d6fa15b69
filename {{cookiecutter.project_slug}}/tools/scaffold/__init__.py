"""The generator behind `make task`, `make domain`, `make workflow` and `make periodic`.

It writes the failing tests first, then a stub of the service and the whole task. Everything
is made in a copy of the project; the project itself gets all of it or nothing.

- `names`: what a person may call things.
- `kinds`: which files each kind of generation writes.
- `safety`: what makes a second execution harmless, by queue.
- `rendering`: the files of `templates/`, by Django's `TemplateCommand`.
- `merging`: a definition goes into a module that exists already.
- `staging`: the copy, its differences, and how they reach the project.
"""
