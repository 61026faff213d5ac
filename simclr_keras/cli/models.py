"""The command on exported models: `export`."""

from ..runs.config import ExportConfig
from .options import command_of, print_json, say


@command_of(ExportConfig)
def export(config: ExportConfig, as_json: bool):
    """Export a SavedModel for TensorFlow Serving and for reuse."""
    from ..runs.export import export as write

    result = write(config)
    say(f"Exported model: {result.path}")
    print_json(as_json, result.to_dict())
