"""What the judge's features of real clips of given attributes are: the reference of Frechet distances in ``bench/table``.

    npx node bench/table/asked.ts --requests 2000 --seed 1 > asked.json
    python -m demo_model.real_features --package package --asked asked.json --output ../../docs/evaluation/real-clips.f16

Clips are rendered, encoded by the package's VAE and seen by its judge. What a prompt leaves unsaid is drawn as the
captions mean it: an unsaid size is medium and an unsaid camera static, motion and light are any. The file holds the
features clip by clip, float16.
"""

import argparse
import json
import random
import time
from pathlib import Path

import numpy
import torch

from . import captions, restore, world

SEED = 31_000


def complete(asked: dict[str, int], rng: random.Random) -> list[int]:
    """All seven attributes of a clip that shows what was asked."""
    unsaid = {"size": captions.SIZES.index("medium"), "camera": captions.CAMERAS.index("static")}
    return [asked.get(name, unsaid.get(name, rng.randrange(len(values)))) for name, values in captions.FIELDS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, required=True)
    parser.add_argument("--asked", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1024)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    asked = json.loads(args.asked.read_text())
    rng = random.Random(SEED)
    rows = [complete(asked[i * len(asked) // args.count], rng) for i in range(args.count)]
    nets = restore.load_package(args.package, args.device)
    generator = torch.Generator(device=args.device).manual_seed(SEED)
    features, right, start = [], [], time.time()
    # in a drawn order, so that a run that is cut short has seen the whole trace
    random.Random(SEED).shuffle(rows)
    for i in range(0, len(rows), 4):
        chunk = torch.tensor(rows[i : i + 4], device=args.device)
        with torch.no_grad():
            logits, feature = nets["judge"](nets["vaeEncoder"](world.render(chunk, generator)[0]))
        features.append(feature.cpu().numpy())
        heads = logits.split(captions.CLASS_COUNTS, 1)
        right.append(torch.stack([head.argmax(1) == chunk[:, k] for k, head in enumerate(heads)], 1).float().cpu())
        if (i // 4) % 16 == 15 or i + 4 >= len(rows):
            print(f"[{time.time() - start:6.1f}s] {i + len(chunk)} clips, judge right {torch.cat(right).mean():.4f}", flush=True)
            numpy.concatenate(features).astype("<f2").tofile(args.output)


if __name__ == "__main__":
    main()
