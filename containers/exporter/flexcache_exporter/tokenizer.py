"""The tokenizer of a saved pipeline -> ``tokenizer.json``, and what the manifest says of it."""

from pathlib import Path

from transformers import AutoTokenizer

from .errors import ExportError
from .source import SAVE_AGAIN


def write_tokenizer(folder: Path, path: Path) -> dict:
    """Writes the fast tokenizer of a folder to path, without padding and truncation: the manifest has their numbers.

    Returns ``padId``, ``eosId`` (null where there is none) and ``addsSpecialTokens``. Raises ExportError where the
    folder has no tokenizer, none that can be a fast one, or one that cannot pad.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ExportError(str(folder), f"its tokenizer cannot be read: {error}", SAVE_AGAIN) from error
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ExportError(str(folder), "its tokenizer has no tokenizer.json", "save it again as a fast tokenizer")
    if tokenizer.pad_token_id is None:
        raise ExportError(str(folder), "its tokenizer has no padding token", "give it a pad_token and save it again")
    backend.no_padding()
    backend.no_truncation()
    backend.save(str(path), pretty=False)
    return {
        "padId": tokenizer.pad_token_id,
        "eosId": tokenizer.eos_token_id,
        "addsSpecialTokens": tokenizer("a").input_ids != tokenizer("a", add_special_tokens=False).input_ids,
    }
