"""Every figure of the model in one command; writes ``quality.json``.

    python -m demo_model.evaluate --checkpoints CK --output quality.json     (PyTorch weights, as on the GPU)
    python -m demo_model.evaluate --package package --adherence-only         (the shipped ONNX files, on the CPU, tuned N only)
    python -m demo_model.evaluate --package package --count 64               (the same with every section; slow)

It also chooses what the manifest needs: guidance and the look-up thresholds. Solver and N are what demo_model.reuse_study found, which
also measures what hits lose.
"""

import argparse
import json
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from . import captions, export, networks, recipes, sampling, tokenization, world
from .train import part_latents, psnr

SEED = 20_000
REFERENCE_STEPS = 50
GUIDANCE = [2.0, 3.0, 4.0]
MAKERS = (captions.caption_segments, captions.object_segments, captions.background_segments)
PARTS = ("whole", "object", "background")


class OnnxNet:
    """An exported network that is called like its PyTorch original."""

    def __init__(self, path: Path):
        import onnxruntime

        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.inputs = [value.name for value in self.session.get_inputs()]

    def __call__(self, *tensors):
        outputs = self.session.run(None, {name: t.contiguous().numpy() for name, t in zip(self.inputs, tensors)})
        outputs = [torch.from_numpy(value) for value in outputs]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)


class OnnxDenoiser(OnnxNet):
    """Full evaluations: every token live, no context, where the package evaluates regions."""

    def __init__(self, path: Path, manifest: dict):
        super().__init__(path)
        self.tokens, self.regions = recipes.layout_of(manifest).tokens, manifest.get("regions")

    def __call__(self, latent, time, text_states, text_mask):
        batch = len(latent)
        feeds = {
            name: t.contiguous().numpy()
            for name, t in {"latent": latent, "time": time, "text_states": text_states, "text_mask": text_mask}.items()
        }
        if self.regions:
            feeds["live"] = torch.arange(self.tokens).expand(batch, -1).contiguous().numpy()
        if "kept" in self.inputs:
            feeds["kept"] = torch.zeros(batch, 0, dtype=torch.long).numpy()
        for name in self.inputs:
            if name.startswith("context_"):
                feeds[name] = torch.zeros(batch, self.regions["heads"], 0, self.regions["headWidth"]).numpy()
        return torch.from_numpy(self.session.run(["velocity"], feeds)[0])


def read_manifest(package: Path) -> dict:
    return json.loads((package / "model.json").read_text())


def onnx_net(name: str, package: Path) -> OnnxNet:
    manifest = read_manifest(package)
    path = package / manifest["files"][name][0]["path"]
    return OnnxDenoiser(path, manifest) if name == "denoiser" else OnnxNet(path)


class Evaluation:
    def __init__(self, nets, device: str, count: int, solver: str = "ab2", steps: int = 7, layout: recipes.Layout = recipes.OWN.layout):
        self.nets, self.device, self.count, self.solver, self.steps, self.layout = nets, device, count, solver, steps, layout
        self.rng = random.Random(SEED)
        self.start = time.time()
        self.quality: dict = {"seed": SEED, "samples": count}

    def say(self, text: str) -> None:
        print(f"[{time.time() - self.start:6.1f}s] {text}", flush=True)

    def tokens_of(self, rows: list[list[int]], make=captions.caption_segments) -> torch.Tensor:
        return sampling.tokens_of(rows, self.rng, make, self.device, self.layout.ends)

    def gaussian(self, count: int, seed: int) -> torch.Tensor:
        return sampling.gaussian(count, seed, self.device, self.layout.latent)

    def real(self, rows: list[list[int]], seed: int) -> tuple[torch.Tensor, torch.Tensor, float]:
        """Latents, masks at latent resolution and mean PSNR of real clips through the VAE."""
        generator = torch.Generator(device=self.device).manual_seed(seed)
        latents, masks, quality = [], [], []
        for i in range(0, len(rows), 64):
            video, mask = world.render(torch.tensor(rows[i : i + 64], device=self.device), generator, self.layout.frames)
            with torch.no_grad():
                latent = self.nets["vaeEncoder"](video)
                if len(quality) * 64 < self.count:
                    quality.append(psnr(self.nets["vaeDecoder"](latent), video))
            latents.append(latent)
            masks.append(networks.latent_mask(mask, self.layout.latent))
        return torch.cat(latents), torch.cat(masks).float(), torch.cat(quality)

    def report(self, latents: torch.Tensor, rows: list[list[int]]) -> dict:
        right, features = sampling.judge(self.nets, latents, rows)
        mean = right.mean(0)
        return {
            "adherence": mean.mean().item(), "object": mean[:4].mean().item(), "background": mean[4:].mean().item(),
            "frechet": sampling.frechet_distance(features, self.reference),
            "attributes": {name: mean[k].item() for k, (name, _) in enumerate(captions.FIELDS)},
        }

    def line(self, name: str, row: dict) -> None:
        self.say(f"{name:44s} adherence {row['adherence']:.4f} object {row['object']:.4f} background {row['background']:.4f} FD {row['frechet']:.1f}")

    def codec_and_judge(self) -> None:
        rows = captions.sample_attributes(8 * self.count, self.rng)
        latents, masks, quality = self.real(rows, SEED)
        right, self.reference = sampling.judge(self.nets, latents, rows)
        judge = {name: right[:, k].mean().item() for k, (name, _) in enumerate(captions.FIELDS)}
        found = torch.cat([(self.nets["segmenter"](x) > 0) for x in latents[: self.count].split(128)]).unsqueeze(1)
        truth = masks[: self.count] > 0
        iou = ((found & truth).sum((1, 2, 3, 4)) / (found | truth).sum((1, 2, 3, 4)).clamp(min=1)).mean().item()
        self.quality["vae"] = {
            "psnrMean": quality.mean().item(), "psnrP10": quality.quantile(0.1).item(), "samples": len(quality),
        }
        self.quality["judgeOnReal"] = {**judge, "samples": len(rows)}
        self.quality["segmenterIou"] = iou
        self.say(f"VAE PSNR {quality.mean():.2f} dB (p10 {quality.quantile(0.1):.2f}); judge on real " + " ".join(f"{k} {v:.3f}" for k, v in judge.items()))
        self.say(f"segmenter IoU {iou:.3f}")

    def embed(self, latents: torch.Tensor, masks: torch.Tensor) -> list[torch.Tensor]:
        parts = [part_latents(x, m.squeeze(1)) for x, m in zip(latents.split(128), masks.split(128))]
        return [torch.cat([self.nets["videoTower"](chunk[k]) for chunk in parts]) for k in range(3)]

    def text(self, rows: list[list[int]], part: int) -> torch.Tensor:
        ids = self.tokens_of(rows, MAKERS[part])
        return torch.cat([self.nets["textTower"](x, networks.text_mask(x))[0] for x in ids.split(256)])

    def retrieval(self) -> None:
        hits, runs = 0.0, 4
        for run in range(runs):
            rows = captions.sample_attributes(512, self.rng)
            latents, _, _ = self.real(rows, SEED + 10 + run)
            videos = torch.cat([self.nets["videoTower"](x) for x in latents.split(128)])
            hits += ((self.text(rows, 0) @ videos.T).argmax(1) == torch.arange(512, device=self.device)).float().mean().item() / runs
        rows = captions.sample_attributes(512, self.rng)
        words = right = 0
        for row in rows:
            ids, labels = tokenization.encode_segments(captions.caption_segments(row, self.rng), ends=self.layout.ends)
            batch = torch.tensor([ids], device=self.device)
            predicted = self.nets["textTower"](batch, networks.text_mask(batch))[1].argmax(-1)[0].tolist()
            words += sum(label >= 0 for label in labels)
            right += sum(label >= 0 and label == guess for label, guess in zip(labels, predicted))
        self.quality["retrieval"] = {"recallAt1In512": hits, "samples": 512 * runs}
        self.quality["splitterAccuracy"] = right / words
        self.say(f"text->video R@1 in 512: {hits:.4f}; splitter token accuracy {right / words:.4f}")

    def full(self) -> None:
        self.rows = captions.sample_attributes(self.count, self.rng, held_out=False)
        self.ids = self.tokens_of(self.rows)
        noise = self.gaussian(self.count, 5)
        sweep = {}
        for guidance in GUIDANCE:
            sweep[guidance] = self.report(sampling.sample(self.nets, self.ids, noise, REFERENCE_STEPS, guidance), self.rows)
            self.line(f"full N={REFERENCE_STEPS} guidance {guidance}", sweep[guidance])
        self.guidance = max(sweep, key=lambda g: (round(sweep[g]["adherence"], 3), -sweep[g]["frechet"]))
        held_rows = captions.sample_attributes(self.count, self.rng, held_out=True)
        held_ids = self.tokens_of(held_rows)
        sets = {}
        for name, ids, rows in (("seen", self.ids, self.rows), ("heldOut", held_ids, held_rows)):
            sets[name] = {
                "reference": self.report(sampling.sample(self.nets, ids, noise, REFERENCE_STEPS, self.guidance), rows),
                "tuned": self.report(sampling.sample(self.nets, ids, noise, self.steps, self.guidance, solver=self.solver), rows),
            }
            for kind, row in sets[name].items():
                self.line(f"{name} {kind}", row)
        self.quality["scheduler"] = {
            "solver": self.solver, "steps": self.steps, "referenceSteps": REFERENCE_STEPS, "guidance": self.guidance,
        }
        self.quality["fullGeneration"] = {"guidance": {str(g): row for g, row in sweep.items()}, **sets}
        self.say(f"guidance {self.guidance}")

    def generate(self, rows, seed: int) -> torch.Tensor:
        return sampling.sample(
            self.nets, self.tokens_of(rows), self.gaussian(len(rows), seed), self.steps, self.guidance, solver=self.solver,
        )

    def changed(self, rows, fields) -> list[list[int]]:
        """The same rows with every one of the fields set to another value."""
        changed = []
        for row in rows:
            row = list(row)
            for field in fields:
                row[field] = self.rng.choice([v for v in range(captions.CLASS_COUNTS[field]) if v != row[field]])
            changed.append(row)
        return changed

    def similarity(self) -> None:
        """Cosine of a prompt (part) to videos that show it, that differ in one attribute, and that are unrelated."""
        latents = self.generate(self.rows, 21)
        masks = sampling.object_mask(self.nets, latents)
        right, _ = sampling.judge(self.nets, latents, self.rows)
        vectors = self.embed(latents, masks)
        fields = (range(7), captions.OBJECT_FIELDS, captions.BACKGROUND_FIELDS)
        thresholds, table = {}, {}
        for part, name in enumerate(PARTS):
            shown = right[:, list(fields[part])].all(1)
            same = (self.text(self.rows, part) * vectors[part]).sum(1)
            near = torch.cat([
                (self.text(self.changed(self.rows, (field,)), part) * vectors[part]).sum(1)[shown] for field in fields[part]
            ])
            other = (self.text(self.changed(self.rows, fields[part]), part) * vectors[part]).sum(1)
            grid = torch.linspace(0, 1, 401, device=self.device)
            score = (same[shown][None] >= grid[:, None]).float().mean(1) + (near[None] < grid[:, None]).float().mean(1)
            # precise rather than greedy: at most one neighbour in fifty that differs in an attribute may pass
            thresholds[name] = round(max(grid[score.argmax()].item(), near.quantile(0.98).item()), 4)
            summary = {}
            for label, values in (("same", same[shown]), ("sameButWrong", same[~shown]), ("oneAttributeOff", near), ("unrelated", other)):
                if len(values):
                    summary[label] = {q: values.quantile(p).item() for q, p in (("p10", 0.1), ("p50", 0.5), ("p90", 0.9))}
            summary["balancedAccuracyAtThreshold"] = score.max().item() / 2
            table[name] = summary
            self.say(f"similarity {name:10s} threshold {thresholds[name]:.3f} balanced accuracy {score.max().item() / 2:.3f} "
                     + " ".join(f"{k} {v['p50']:.2f}" for k, v in summary.items() if isinstance(v, dict)))
        self.quality["thresholds"], self.quality["similarity"] = thresholds, table


def adherence_of_package(package: Path, count: int, output: Path | None, steps: int | None) -> None:
    """Adherence of full generations of the shipped files at the tuned N, seen and held-out; says where it is on the way."""
    manifest = read_manifest(package)
    scheduler, layout = manifest["scheduler"], recipes.layout_of(manifest)
    steps = steps or scheduler["steps"]
    nets = {name: onnx_net(name, package) for name in ("textEncoder", "denoiser", "judge")}
    result: dict = {"seed": SEED, "steps": steps, "guidance": scheduler["guidance"], "runtime": "onnxruntime, CPU"}
    sets = {}
    for offset, (name, held_out) in enumerate((("seen", False), ("heldOut", True))):
        rng = random.Random(SEED + offset)
        rows = captions.sample_attributes(count, rng, held_out=held_out)
        noise = sampling.gaussian(count, SEED + offset, "cpu", layout.latent)
        sets[name] = (rows, sampling.tokens_of(rows, rng, ends=layout.ends), noise, [])
    # the two sets take turns, so that a run that is cut short has measured both
    for i in range(0, count, 8):
        for name, (rows, ids, noise, right) in sets.items():
            latents = sampling.sample(nets, ids[i : i + 8], noise[i : i + 8], steps, scheduler["guidance"], solver=scheduler.get("solver", "euler"))
            right.append(sampling.judge(nets, latents, rows[i : i + 8])[0])
            mean = torch.cat(right).mean(0)
            row = result[name] = {
                "adherence": mean.mean().item(), "object": mean[:4].mean().item(), "background": mean[4:].mean().item(),
                "attributes": {field: mean[k].item() for k, (field, _) in enumerate(captions.FIELDS)},
                "samples": min(i + 8, count),
            }
            if (i // 8) % 4 == 3 or i + 8 >= count:
                print(f"{name:8s} N={steps} {row['samples']:4d} samples: adherence {row['adherence']:.4f} object {row['object']:.4f} background {row['background']:.4f}", flush=True)
        if output:
            output.write_text(json.dumps(result, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoints", type=Path)
    source.add_argument("--package", type=Path)
    parser.add_argument("--recipe", choices=recipes.NAMES, default="own", help="with --checkpoints: which networks")
    parser.add_argument("--count", type=int, default=512)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--samples", type=Path, help="also write 64 generated latents (float32) and masks (uint8) here")
    parser.add_argument("--adherence-only", action="store_true", help="with --package: only full generations at the tuned N")
    parser.add_argument("--steps", type=int, help="with --adherence-only: another N")
    parser.add_argument("--solver", choices=sampling.SOLVERS, default="ab2", help="of full generations, as demo_model.reuse_study found it")
    parser.add_argument("--tuned-steps", type=int, default=7, help="N, as demo_model.reuse_study found it")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    torch.manual_seed(SEED)
    if args.adherence_only:
        if args.package is None:
            parser.error("--adherence-only measures a package: give --package DIR")
        return adherence_of_package(args.package, args.count, args.output, args.steps)
    if args.checkpoints:
        recipe = recipes.recipe_of(args.recipe)
        nets, layout = export.load_networks(args.checkpoints, args.device, recipe), recipe.layout
    else:
        args.device = "cpu"
        nets, layout = {name: onnx_net(name, args.package) for name in export.FILES}, recipes.layout_of(read_manifest(args.package))
    evaluation = Evaluation(nets, args.device, args.count, args.solver, args.tuned_steps, layout)
    with torch.no_grad():
        evaluation.codec_and_judge()
        evaluation.retrieval()
        evaluation.full()
        evaluation.similarity()
        if args.samples:
            latents = evaluation.generate(evaluation.rows[:64], 77)
            masks = torch.cat([(nets["segmenter"](x) > 0) for x in latents.split(64)])
            args.samples.mkdir(parents=True, exist_ok=True)
            (args.samples / "latents.f32").write_bytes(latents.float().cpu().numpy().tobytes())
            (args.samples / "masks.u8").write_bytes(masks.to(torch.uint8).cpu().numpy().tobytes())
    if args.output:
        args.output.write_text(json.dumps(evaluation.quality, indent=2) + "\n")


if __name__ == "__main__":
    main()
