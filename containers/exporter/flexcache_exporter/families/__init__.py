"""Families of pipelines, by the ``_class_name`` of ``model_index.json``.

A family is a module with ``open_model(source, request) -> Model``. It reads configurations alone, refuses what it does
not support, and loads weights only in the ``load`` of its networks.
"""

from importlib import import_module

from ..errors import ExportError
from ..model import Model, Request
from ..source import INDEX_FILE, Source

FAMILIES = {"CogVideoXPipeline": "cogvideox", "LTXPipeline": "ltx", "WanPipeline": "wan"}


def open_model(source: Source, request: Request) -> Model:
    """The saved pipeline as its family understands it; raises ExportError where no family does, or not all of the request."""
    module = FAMILIES.get(source.class_name)
    if module is None:
        raise ExportError(
            str(source.folder / INDEX_FILE),
            f"_class_name is {source.class_name}, which is not supported",
            f"use a pipeline of the class {' or '.join(FAMILIES)}",
        )
    model = import_module(f"{__name__}.{module}").open_model(source, request)
    if request.object_map is not None and not model.maps_object:
        raise ExportError(
            "--object-map", f"denoisers of the family {module} are exported without it", "leave the option out"
        )
    return model
