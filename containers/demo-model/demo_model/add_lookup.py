"""Adds look-up to a package that flexcache-export wrote of this model: segmenter, towers, judge, and what ``model.json`` says of them.

    python -m demo_model.add_lookup --recipe wan --checkpoints CK --package PACKAGE --quality quality.json

The exporter writes ``model.json`` without them: after another export this is run again.
"""

import argparse
import json
import os
from pathlib import Path

import torch
import torch.nn as nn

from . import export, recipes


def add_lookup(package: Path, nets: dict[str, nn.Module], layout: recipes.Layout, scheduler: dict, thresholds: dict) -> None:
    """Exports the networks of look-up into the package; its manifest, written last, then runs generations by this scheduler."""
    manifest = json.loads((package / "model.json").read_text())
    if recipes.layout_of(manifest) != layout:
        raise ValueError(f"{package} is of {recipes.layout_of(manifest)} and the recipe of {layout}: name the recipe that was exported")
    generator = torch.Generator().manual_seed(7)
    for name in export.LOOKUP:
        path = package / export.FILES[name]
        worst = export.export_network(name, nets[name], path, generator, layout)
        print(f"{path.name:20s} {path.stat().st_size / 1e6:6.2f} MB  max relative difference {worst:.1e}", flush=True)
        manifest["files"][name] = [export.describe_file(package, path.name)]
    manifest |= {"version": export.VERSION, **export.lookup_fields(thresholds)}
    manifest["scheduler"] |= scheduler
    temporary = package / "model.json.tmp"
    temporary.write_text(json.dumps(manifest, indent=2) + "\n")
    os.replace(temporary, package / "model.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", choices=recipes.NAMES, default="wan")
    parser.add_argument("--checkpoints", type=Path, required=True)
    parser.add_argument("--package", type=Path, required=True)
    parser.add_argument("--quality", type=Path, help="quality.json of demo_model.evaluate: sets steps, guidance and thresholds")
    args = parser.parse_args()
    recipe = recipes.recipe_of(args.recipe)
    scheduler, thresholds = export.measured(args.quality, args.package)
    add_lookup(args.package, export.load_networks(args.checkpoints, recipe=recipe), recipe.layout, scheduler, thresholds)
    export.require_small(args.package)


if __name__ == "__main__":
    main()
