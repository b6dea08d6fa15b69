"""The files of `templates/`, rendered by the machinery of `startapp`."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.core.management.templates import TemplateCommand

TEMPLATES = Path(__file__).parent / "templates"


class Renderer(TemplateCommand):
    """Renders one folder of templates, as `startapp --template` would."""

    def validate_name(self, name: str, name_or_dir: str = "name") -> None:
        """Accept it: a folder of `templates/` needs no import path of its own."""


def render(folder: str, context: dict[str, Any]) -> dict[str, str]:
    """Render a folder of `templates/`.

    Args:
        folder: such as `task`.
        context: of the templates.

    Returns:
        The text of each file by its name, without `.py`.
    """
    with TemporaryDirectory() as scratch:
        Renderer().handle(
            folder,
            folder,
            scratch,
            template=str(TEMPLATES / folder),
            extensions=["py"],
            files=[],
            verbosity=0,
            **context,
        )
        return {
            path.stem: path.read_text(encoding="utf-8")
            for path in Path(scratch).glob("*.py")
        }
