"""Import of test reports: a JUnit XML file becomes rows and a summary.

`store` takes a file in; the stages `extract`, `validate`, `transform`, `load` and at last
`summarise` carry it through; `fail` ends it early. All of them may be repeated at any time,
by any process: the unique constraints of `app/models/imports.py` and the states decide what
is left to do. Who calls them when is `app/workflows/data_pipeline`'s business.
"""

from app.services.imports.junit import InvalidReport
from app.services.imports.lifecycle import (
    Progress,
    begin,
    discard,
    fail,
    progress,
    restart,
)
from app.services.imports.stages import (
    chunks_to_load,
    extract,
    load,
    transform,
    validate,
)
from app.services.imports.summary import NotLoaded, Summary, summarise
from app.services.imports.uploads import UploadTooLarge, max_bytes, store

__all__ = [
    "InvalidReport",
    "NotLoaded",
    "Progress",
    "Summary",
    "UploadTooLarge",
    "begin",
    "chunks_to_load",
    "discard",
    "extract",
    "fail",
    "load",
    "max_bytes",
    "progress",
    "restart",
    "store",
    "summarise",
    "transform",
    "validate",
]
