"""The template's own tests. Every bake runs the stock `cookiecutter` command."""
