"""Which modules the app knows tasks from."""

from pathlib import Path

import pytest

from config import celery


def test_task_module_that_cannot_be_imported_stops_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "spoilt"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "mail_tasks.py").write_text("import not_installed\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(celery, "TASK_PACKAGES", ("spoilt",))

    with pytest.raises(ModuleNotFoundError, match="not_installed"):
        celery.app.loader.import_default_modules()
