"""What solvers, plans, regions and long chains of reuse cost in quality; writes a JSON of every row with its intervals.

    python -m demo_model.reuse_study --package package --output study.json          (weights of the ONNX files, PyTorch)
    python -m demo_model.reuse_study --checkpoints CK --output study.json --sections solvers,plans,regions,drift

Every row: evaluations of a full guided network (``equivalents`` where only a region is evaluated), adherence (mean over the
attributes that the judge recognises), Frechet distance of the judge's features to real clips, and the paired differences to a
full generation of the same prompts from the same noise. Intervals are 95 %: adherence by percentile of 2,000 bootstrap draws over prompts, the Frechet
distance by 1.96 standard deviations over ``--draws`` such draws (a resampled set repeats samples, which shifts its distance).

``solvers`` finds what the manifest's scheduler needs: the fewest evaluations of a one-evaluation solver whose adherence is within 1 % and
whose distance within 5 % of Euler's in 50 steps.
"""

import argparse
import json
import multiprocessing
import random
import time
from pathlib import Path

import torch

from . import captions, export, networks, restore, sampling
from .evaluate import Evaluation

SEED = 31_000
REFERENCE_STEPS = 50
ADHERENCE_LOSS, FRECHET_DRIFT = 0.01, 0.05
ADHERENCE_DRAWS = 2_000
#: Where a background donor is started: the object must be formed from noise.
BACKGROUND_START = 0.95
CHAIN_GENERATIONS = 10
CHAIN_SEEDS = 4

_reference: dict[str, torch.Tensor] = {}


def _set_reference(mean: torch.Tensor, root: torch.Tensor) -> None:
    torch.set_num_threads(1)
    _reference.update(mean=mean, root=root)


def _distance(features: torch.Tensor) -> float:
    """Frechet distance to the reference; the reference's root is computed once."""
    covariance = torch.cov(features.T)
    root = _reference["root"]
    cross = torch.linalg.eigvalsh(root @ covariance @ root).clamp(min=0).sqrt().sum()
    reference_trace = (root * root).sum()
    return (((features.mean(0) - _reference["mean"]) ** 2).sum() + torch.trace(covariance) + reference_trace - 2 * cross).item()


def _distances(job: tuple[torch.Tensor, int, int, int]) -> list[float]:
    """The distance of a set, then of ``draws`` resampled ones; rows that stand together, ``group`` long, are drawn together."""
    features, group, draws, seed = job
    features = features.double()
    generator = torch.Generator().manual_seed(seed)
    result = [_distance(features)]
    groups = features.view(-1, group, features.shape[1])
    for _ in range(draws):
        index = torch.randint(0, len(groups), (len(groups),), generator=generator)
        result.append(_distance(groups[index].flatten(0, 1)))
    return result


def _mean_interval(values: torch.Tensor, group: int) -> list[float]:
    """Percentile interval of a mean over samples, drawn by prompt."""
    per_prompt = values.view(-1, group).mean(1)
    generator = torch.Generator().manual_seed(SEED)
    index = torch.randint(0, len(per_prompt), (ADHERENCE_DRAWS, len(per_prompt)), generator=generator)
    return per_prompt[index].mean(1).quantile(torch.tensor([0.025, 0.975])).tolist()


class Row:
    """A measured set: adherence per sample now, distances when the pool has them."""

    def __init__(self, name: str, right: torch.Tensor, features: torch.Tensor, group: int, pool, draws: int, fields: dict):
        self.name, self.fields, self.group = name, fields, group
        self.right = right.cpu()
        self.adherence = self.right.mean(1)
        self.job = pool.apply_async(_distances, ((features.cpu().half(), group, draws, SEED),))

    def report(self, baseline: "Row | None", chosen: torch.Tensor | None = None) -> dict:
        if not hasattr(self, "distances"):
            self.distances = torch.tensor(self.job.get())
        point, drawn = self.distances[0].item(), self.distances[1:]
        result = {
            "name": self.name, **self.fields, "n": len(self.adherence), "adherence": self.adherence.mean().item(),
            "adherenceInterval": _mean_interval(self.adherence, self.group), "object": self.right[:, :4].mean().item(),
            "background": self.right[:, 4:].mean().item(), "frechet": point,
        }
        if len(drawn) > 1:
            spread = 1.96 * drawn.std().item()
            result["frechetInterval"] = [point - spread, point + spread]
        if baseline is None:
            return result
        difference = self.adherence - baseline.adherence
        result["difference"], result["differenceInterval"] = difference.mean().item(), _mean_interval(difference, self.group)
        baseline.report(None)
        drift = point / baseline.distances[0].item() - 1
        result["frechetDrift"] = drift
        if len(drawn) > 1:
            spread = 1.96 * (drawn / baseline.distances[1:]).std().item()
            result["frechetDriftInterval"] = [drift - spread, drift + spread]
        if chosen is not None and chosen.sum() > 1:
            some = difference[chosen]
            result["rightDonors"] = {
                "n": int(chosen.sum()), "adherence": self.adherence[chosen].mean().item(), "difference": some.mean().item(),
                "differenceInterval": _mean_interval(some, 1),
            }
        return result


class Study:
    def __init__(self, nets, device: str, count: int, guidance: float, draws: int, reference: int, workers: int):
        self.nets, self.device, self.count, self.guidance, self.draws = nets, device, count, guidance, draws
        self.rng = random.Random(SEED)
        self.start = time.time()
        self.helper = Evaluation(nets, device, 1)
        rows = captions.sample_attributes(reference, self.rng)
        latents, _, _ = self.helper.real(rows, SEED)
        _, features = sampling.judge(nets, latents, rows)
        features = features.double()
        covariance = torch.cov(features.T)
        mean, root = features.mean(0).cpu(), sampling._square_root(covariance).cpu()
        _set_reference(mean, root)
        self.pool = multiprocessing.get_context("spawn").Pool(workers, _set_reference, (mean, root))
        self.rows = captions.sample_attributes(count, self.rng, held_out=False)
        self.ids = sampling.tokens_of(self.rows, self.rng, device=device)
        self.noise = sampling.gaussian(count, SEED + 1, device)
        self.result: dict = {"seed": SEED, "samples": count, "referenceClips": reference, "guidance": guidance}
        self.say("ready")

    def say(self, text: str) -> None:
        print(f"[{time.time() - self.start:6.1f}s] {text}", flush=True)

    def row(self, name: str, latents, rows=None, group: int = 1, **fields) -> Row:
        right, features = sampling.judge(self.nets, latents, rows or self.rows)
        self.say(f"{name:58s} adherence {right.mean().item():.4f}" + "".join(f" {k} {v:.3f}" for k, v in fields.items() if isinstance(v, float)))
        return Row(name, right, features, group, self.pool, self.draws, fields)

    def sample(self, ids, start, steps: int, start_time: float = 1.0, solver: str | None = None) -> torch.Tensor:
        return sampling.sample(self.nets, ids, start, steps, self.guidance, start_time, solver or self.solver)

    # Solvers

    def solvers(self, counts: list[int]) -> None:
        rows = {("euler", REFERENCE_STEPS): self.row("euler 50", self.sample(self.ids, self.noise, REFERENCE_STEPS, solver="euler"), solver="euler", evaluations=REFERENCE_STEPS)}
        for solver in sampling.SOLVERS:
            for evaluations in counts:
                # Heun's last step, to 0, takes one evaluation.
                if solver == "heun" and evaluations % 2 == 0:
                    continue
                steps = (evaluations + 1) // 2 if solver == "heun" else evaluations
                latents = self.sample(self.ids, self.noise, steps, solver=solver)
                rows[solver, evaluations] = self.row(f"{solver} {evaluations}", latents, solver=solver, evaluations=evaluations)
        best = rows["euler", REFERENCE_STEPS]
        self.result["solvers"] = [row.report(best) for row in rows.values()]
        good = [
            row for row in self.result["solvers"]
            if row["adherence"] >= self.result["solvers"][0]["adherence"] * (1 - ADHERENCE_LOSS)
            and row["frechetDrift"] <= FRECHET_DRIFT and row["solver"] != "heun"
        ]
        tuned = min(good, key=lambda row: (row["evaluations"], row["frechet"]))
        self.result["scheduler"] = {
            "solver": tuned["solver"], "steps": tuned["evaluations"], "referenceSteps": REFERENCE_STEPS, "guidance": self.guidance,
        }
        self.say(f"tuned {tuned['solver']} in {tuned['evaluations']}")

    def tune(self, solver: str, steps: int) -> None:
        """What the sections below measure with, and full generations of the prompts to compare with."""
        self.solver, self.steps = solver, steps
        self.full = self.row(f"full {solver} {steps}", self.sample(self.ids, self.noise, steps), solver=solver, evaluations=steps)
        self.many_noise = sampling.gaussian(self.count, SEED + 2, self.device)

    # Plans

    def donor(self, rows, seed: int) -> dict:
        """Full generations of other prompts, with what the judge sees of each part."""
        ids = sampling.tokens_of(rows, self.rng, device=self.device)
        latents = self.sample(ids, sampling.gaussian(len(rows), seed, self.device), self.steps)
        right, _ = sampling.judge(self.nets, latents, rows)
        right = right.cpu() > 0.5
        return {
            "latents": latents, "mask": sampling.object_mask(self.nets, latents), "rows": rows,
            "whole": right.all(1), "object": right[:, list(captions.OBJECT_FIELDS)].all(1),
            "background": right[:, list(captions.BACKGROUND_FIELDS)].all(1),
        }

    def changed(self, fields) -> list[list[int]]:
        return self.helper.changed(self.rows, fields)

    def anchored(self, filled: torch.Tensor, evaluations: int, solver: str) -> torch.Tensor:
        """Background donor by replacement: outside the object of the second evaluation's prediction the donor is put back,
        re-noised, after every step but the last."""
        results = []
        for i in range(0, self.count, 256):
            clean, noise, ids = filled[i : i + 256], self.many_noise[i : i + 256], self.ids[i : i + 256]
            outside = None

            def after(step, x, v, following, now, then):
                nonlocal outside
                if step == 1:
                    outside = 1 - sampling.object_mask(self.nets, x - now * v)
                if outside is None or then == 0:
                    return following
                return outside * sampling.renoise(clean, then, noise) + (1 - outside) * following

            velocity = sampling.guided_velocity(self.nets, ids, self.guidance, clean.device)
            times = sampling.even_times(BACKGROUND_START, evaluations)
            results.append(sampling.integrate(velocity, sampling.renoise(clean, BACKGROUND_START, noise), times, solver, after))
        return torch.cat(results)

    def plans(self) -> None:
        whole = self.donor(self.rows, SEED + 10)
        obj, back = self.donor(self.changed(captions.BACKGROUND_FIELDS), SEED + 11), self.donor(self.changed(captions.OBJECT_FIELDS), SEED + 12)
        near_rows = [list(row) for row in self.rows]
        for row in near_rows:
            field = self.rng.randrange(len(row))
            row[field] = self.rng.choice([v for v in range(captions.CLASS_COUNTS[field]) if v != row[field]])
        near = self.donor(near_rows, SEED + 13)
        filled = networks.fill_holes(back["latents"], back["mask"])
        composed = obj["mask"] * obj["latents"] + (1 - obj["mask"]) * filled
        cases = [("whole", whole["latents"], whole["whole"], t, n) for t, n in ((0.2, 1), (0.3, 1), (0.3, 2), (0.5, 2))]
        cases += [("object+background", composed, obj["object"] & back["background"], t, n)
                  for t, n in ((0.7, 3), (0.7, 2), (0.6, 2), (0.6, 3), (0.8, 3), (0.8, 4))]
        cases += [("near", near["latents"], near["whole"], t, n) for t, n in ((0.8, 4), (0.8, 3), (0.85, 4), (0.9, 4), (0.9, 5))]
        cases += [("background", filled, back["background"], t, n) for t, n in ((0.95, 4), (0.95, 5), (0.9, 5))]
        rows = []
        for solver in ("ab2", "dpmpp-2m"):
            for kind, clean, right, start_time, steps in cases:
                if steps == 1 and solver != "ab2":
                    continue
                latents = self.sample(self.ids, sampling.renoise(clean, start_time, self.many_noise), steps, start_time, solver)
                # A donor that shows another attribute than its own prompt's is no near donor: the kind needs that one is off.
                row = self.row(f"{kind} {start_time}/{steps} {solver}", latents, kind=kind, startTime=start_time, evaluations=steps, solver=solver, anchor="none")
                rows.append((row, right))
            for steps in (4, 5):
                row = self.row(f"background anchored {BACKGROUND_START}/{steps} {solver}", self.anchored(filled, steps, solver), kind="background",
                               startTime=BACKGROUND_START, evaluations=steps, solver=solver, anchor="background")
                rows.append((row, back["background"]))
        self.result["full"] = self.full.report(None)
        self.result["plans"] = [row.report(self.full, right) for row, right in rows]

    # Regions

    def grown(self, mask: torch.Tensor, margin: int) -> torch.Tensor:
        for _ in range(margin):
            mask = networks.dilate(mask)
        return mask

    def live_of(self, mask: torch.Tensor) -> torch.Tensor:
        """Tokens ``[B,512]`` that a mask ``[B,1,T,H,W]`` touches."""
        return torch.nn.functional.max_pool3d(mask, networks.PATCH, networks.PATCH).flatten(1) > 0

    def hole_of(self, mask: torch.Tensor, hole: str) -> torch.Tensor:
        """Where a donor's background is denoised again: all of its object's place, what no frame shows of it, or nothing."""
        return {"all": mask, "unseen": mask.amin(2, keepdim=True).expand_as(mask), "none": torch.zeros_like(mask)}[hole]

    def positions_of(self, live: torch.Tensor) -> torch.Tensor:
        grid = live.float().view(-1, 1, networks.LATENT_FRAMES, networks.LATENT_HEIGHT // 2, networks.LATENT_WIDTH // 2)
        return torch.nn.functional.interpolate(grid, scale_factor=networks.PATCH)

    def segmented(self, latent: torch.Tensor) -> torch.Tensor:
        return (self.nets["segmenter"](latent).float() > 0).float().unsqueeze(1)

    def region_run(self, donor, filled, evaluations: int, full: int, tier: str, margin: int, hole: str, start_time: float, feather: bool, solver: str, region=None):
        """A background hit by regions; returns latents, shares of live tokens and equivalents, one a sample.

        ``tier`` "b": the context's keys and values are those of the last full evaluation; "a": of the donor's clean background.
        The region is ``region [B,1,T,H,W]`` where given, otherwise the object in the prediction of the last of ``full`` evaluations,
        grown by ``margin``; united with the ``hole`` of the donor's own object, whose place the filled background only guesses.
        """
        net, results, shares, costs = self.nets["denoiser"], [], [], []
        for i in range(0, self.count, 256):
            span = slice(i, i + 256)
            clean, noise, ids, donor_mask = filled[span], self.many_noise[span], self.ids[span], donor["mask"][span]
            batch, device = len(ids), clean.device
            both = torch.cat([ids, torch.zeros_like(ids)])
            text_mask = networks.text_mask(both)
            state = {"count": 0, "kept": None, "live": None, "object": None}
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                states = self.nets["textEncoder"](both, text_mask)

                def context(live):
                    if tier == "b":
                        return state["kept"]
                    zero = torch.zeros(batch, device=device)
                    return [
                        (k.repeat(2, 1, 1, 1), v.repeat(2, 1, 1, 1))
                        for k, v in net.masked_region(clean, zero, states[batch:], text_mask[batch:], ~live)[1]
                    ]

                def choose(mask):
                    live = self.live_of(self.grown(mask, margin))
                    state["object"], state["live"] = mask, live | self.live_of(self.hole_of(donor_mask, hole))
                    state["kept"] = context(state["live"])

                if region is not None:
                    choose(region[span])

                def velocity(x, now):
                    live = state["live"]
                    doubled, at = torch.cat([x, x]), torch.full((2 * batch,), now, device=device)
                    if live is None:
                        value, kept = net.masked_region(doubled, at, states, text_mask, torch.ones(2 * batch, networks.TOKENS, dtype=torch.bool, device=device))
                        if state["count"] == full - 1:
                            state["kept"] = kept
                    else:
                        value, _ = net.masked_region(doubled, at, states, text_mask, live.repeat(2, 1), state["kept"])
                    conditional, unconditional = value.float().chunk(2)
                    value = unconditional + self.guidance * (conditional - unconditional)
                    state["count"] += 1
                    if live is None and state["count"] == full:
                        choose(self.segmented(x - now * value))
                    return value

                start = sampling.renoise(clean, start_time, noise)
                x = sampling.integrate(velocity, start, sampling.even_times(start_time, evaluations), solver)
            live = state["live"]
            weight = self.positions_of(live)
            if feather:
                edge = networks.dilate(1 - weight) * weight * (1 - state["object"])
                weight = weight - 0.5 * edge
            results.append(weight * x + (1 - weight) * clean)
            share = live.float().mean(1).cpu()
            shares.append(share)
            costs.append(full + (evaluations - full) * share + (self.context_cost(1 - share) if tier == "a" else 0))
        return torch.cat(results), torch.cat(shares), torch.cat(costs)

    def context_cost(self, share: torch.Tensor) -> torch.Tensor:
        """Of one unguided pass over the context tokens among themselves, in guided evaluations of all tokens."""
        width, tokens = networks.DENOISER_WIDTH, networks.TOKENS
        fixed = 14 * width**2 + 2 * networks.MAX_TOKENS * width
        return share * (fixed + 2 * share * tokens * width) / (fixed + 2 * tokens * width) / 2

    def regions(self, tier_a: bool) -> None:
        other = self.donor(self.changed(captions.OBJECT_FIELDS), SEED + 20)
        same_motion = self.donor(self.changed((0, 1)), SEED + 21)
        fill = {id(d): networks.fill_holes(d["latents"], d["mask"]) for d in (other, same_motion)}
        template = self.donor(self.changed((0, 1, *captions.BACKGROUND_FIELDS)), SEED + 22)["mask"]
        cases = []

        def case(name, donor, evaluations, full, tier, margin=1, hole="all", start_time=BACKGROUND_START, feather=True, solver="ab2", region=None):
            cases.append((name, donor, region, {
                "evaluations": evaluations, "full": full, "tier": tier, "margin": margin, "hole": hole, "start_time": start_time,
                "feather": feather, "solver": solver,
            }))

        for full in (1, 2):
            for evaluations in (4, 5, 6):
                case("b", other, evaluations, full, "b")
            case("b", other, 5, full, "b", solver="dpmpp-2m")
            case("b, no hole", other, 5, full, "b", hole="none")
        for hole in ("all", "unseen"):
            for margin in (0, 1):
                for evaluations in (4, 5):
                    case(f"b, hole {hole}", other, evaluations, 2, "b", margin, hole, solver="dpmpp-2m")
        for evaluations in (3, 4, 5, 6):
            case("a, found", other, evaluations, 1, "a", feather=False)
            case("a, found", other, evaluations, 1, "a", start_time=1.0, feather=False)
        case("a, found", other, 4, 1, "a", feather=False, solver="dpmpp-2m")
        case("a, found", other, 4, 1, "a")
        case("a, found, no hole", other, 4, 1, "a", hole="none", feather=False)
        # Given: the donor moves as asked and its own object's place is the region. Template: the place of an object that moves as asked
        # in any other video.
        for evaluations in (3, 4, 5, 6):
            for margin in (0, 1) if evaluations < 6 else (0,):
                case("a, given", same_motion, evaluations, 0, "a", margin, start_time=1.0, feather=False, region=same_motion["mask"])
        case("a, given", same_motion, 4, 0, "a", 0, start_time=1.0, feather=False, solver="dpmpp-2m", region=same_motion["mask"])
        case("a, given", same_motion, 4, 0, "a", 0, feather=False, solver="dpmpp-2m", region=same_motion["mask"])
        for hole in ("all", "unseen"):
            for evaluations in (4, 5):
                for solver in ("ab2", "dpmpp-2m"):
                    for start_time in (1.0, BACKGROUND_START):
                        case(f"a, template, hole {hole}", other, evaluations, 0, "a", 0, hole, start_time, False, solver, template)
        rows = []
        for name, donor, region, plan in cases:
            latents, share, cost = self.region_run(donor, fill[id(donor)], region=region, **plan)
            label = f"region {name} {plan['full']}+{plan['evaluations'] - plan['full']} from {plan['start_time']} margin {plan['margin']}{' feathered' if plan['feather'] else ''} {plan['solver']}"
            row = self.row(label, latents, kind="background", anchor="region", **{k: v for k, v in plan.items() if k != "start_time"}, startTime=plan["start_time"],
                           liveShare=share.mean().item(), equivalents=cost.mean().item(), ofMiss=cost.mean().item() / self.steps)
            rows.append((row, donor["background"]))
        for steps in (4, 5):
            row = self.row(f"anchored {steps}", self.anchored(fill[id(other)], steps, self.solver), kind="background", anchor="background",
                           evaluations=steps, equivalents=float(steps), ofMiss=steps / self.steps)
            rows.append((row, other["background"]))
        self.result["regions"] = {
            "trained": tier_a, "solver": self.solver, "fullSteps": self.steps, "rows": [row.report(self.full, right) for row, right in rows],
        }
        if self.device == "cuda":
            self.result["regions"]["milliseconds"] = self.speed()

    def speed(self) -> list[dict]:
        """Median milliseconds of guided evaluations on this device, eager PyTorch, by batch and live share."""
        net, table = self.nets["denoiser"], []
        for batch in (1, 16, 128):
            generator = torch.Generator().manual_seed(SEED)
            for live in (networks.TOKENS, 256, 128, 96):
                feeds = export.example("denoiser", 2 * batch, generator, live)
                feeds = [[t.to(self.device) for t in v] if isinstance(v, list) else v.to(self.device) for v in feeds.values()]
                with torch.autocast("cuda", torch.bfloat16):
                    feeds[5], feeds[6] = [k.bfloat16() for k in feeds[5]], [v.bfloat16() for v in feeds[6]]
                    run = (lambda: net(*feeds[:4])) if live == networks.TOKENS else (lambda: net.region(*feeds))
                    times = []
                    for _ in range(15):
                        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
                        begin.record()
                        run()
                        end.record()
                        end.synchronize()
                        times.append(begin.elapsed_time(end))
                table.append({"batch": batch, "live": live, "milliseconds": sorted(times)[7]})
        self.say("milliseconds " + " ".join(f"B{r['batch']}/{r['live']}: {r['milliseconds']:.2f}" for r in table))
        return table

    # Drift

    def drift(self) -> None:
        """Chains of reuse: every generation's donors are the generation before. Prompts in blocks of 2 objects x 2 backgrounds."""
        prompts = self.count // CHAIN_SEEDS
        base = captions.sample_attributes(prompts // 2, self.rng, held_out=False)
        rows = []
        for one, two in zip(base[::2], base[1::2]):
            rows += [[*o[:4], *b[4:]] for o in (one, two) for b in (one, two)]
        rows = [row for row in rows for _ in range(CHAIN_SEEDS)]
        count = len(rows)
        ids = sampling.tokens_of(rows[::CHAIN_SEEDS], self.rng, device=self.device).repeat_interleave(CHAIN_SEEDS, 0)
        first = self.sample(ids, sampling.gaussian(count, SEED + 30, self.device), self.steps)
        # In a block of prompts (object, background) 00 01 10 11: the same object stands on the other background at index ^ 1, the
        # same background behind the other object at index ^ 2.
        index = torch.arange(count, device=self.device)
        prompt, seed = index // CHAIN_SEEDS, index % CHAIN_SEEDS
        same_object, same_background = (prompt ^ 1) * CHAIN_SEEDS + seed, (prompt ^ 2) * CHAIN_SEEDS + seed
        measured = []

        def measure(chain: str, generation: int, latents) -> None:
            right, features = sampling.judge(self.nets, latents, rows)
            seeds = features.view(-1, CHAIN_SEEDS, features.shape[1])
            spread = torch.cdist(seeds, seeds).sum((1, 2)) / (CHAIN_SEEDS * (CHAIN_SEEDS - 1))
            # Grouped by block: the prompts of a block share their donors.
            row = Row(f"{chain} generation {generation}", right, features, 4 * CHAIN_SEEDS, self.pool, self.draws, {
                "chain": chain, "generation": generation, "diversity": spread.mean().item(), "latentStd": latents.std().item(),
            })
            self.say(f"{row.name:58s} adherence {right.mean():.4f} diversity {spread.mean():.3f} std {latents.std():.3f}")
            measured.append((row, spread.cpu()))

        chains = {
            "whole 0.3/1": lambda latents, noise: self.sample(ids, sampling.renoise(latents, 0.3, noise), 1, 0.3),
            "object+background 0.7/3": lambda latents, noise: self.sample(
                ids, sampling.renoise(self.compose(latents, same_object, same_background), 0.7, noise), 3, 0.7, "dpmpp-2m",
            ),
            "object+background 0.6/3": lambda latents, noise: self.sample(
                ids, sampling.renoise(self.compose(latents, same_object, same_background), 0.6, noise), 3, 0.6, "dpmpp-2m",
            ),
        }
        measure("full", 0, first)
        full, full_spread = measured[0]
        for chain, reuse in chains.items():
            latents = first
            for generation in range(1, CHAIN_GENERATIONS + 1):
                latents = reuse(latents, sampling.gaussian(count, SEED + 40 + generation, self.device))
                measure(chain, generation, latents)
        reports = []
        for row, spread in measured:
            report = row.report(full)
            ratio = (spread - full_spread).view(-1, 4).mean(1)
            report["diversityDifference"], report["diversityDifferenceInterval"] = ratio.mean().item(), _mean_interval(ratio, 1)
            reports.append(report)
        self.result["drift"] = {"prompts": prompts, "seeds": CHAIN_SEEDS, "rows": reports}

    def compose(self, latents, same_object, same_background):
        mask = sampling.object_mask(self.nets, latents)
        filled = networks.fill_holes(latents[same_background], mask[same_background])
        chosen = mask[same_object]
        return chosen * latents[same_object] + (1 - chosen) * filled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoints", type=Path)
    source.add_argument("--package", type=Path)
    parser.add_argument("--count", type=int, default=512, help="a multiple of 16")
    parser.add_argument("--sections", default="solvers,plans,regions,drift")
    parser.add_argument("--solver", default="ab2", help="without the section solvers: what the others use")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--evaluations", default="3,4,5,6,7,8,9,10,11,12", help="of the section solvers")
    parser.add_argument("--draws", type=int, default=60)
    parser.add_argument("--reference", type=int, default=4096)
    parser.add_argument("--workers", type=int, default=14)
    parser.add_argument("--regions-trained", action="store_true", help="noted in the result: the weights come from `train regions`")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
    torch.manual_seed(SEED)
    nets = export.load_networks(args.checkpoints, args.device) if args.checkpoints else restore.load_package(args.package, args.device)
    sections = args.sections.split(",")
    with torch.no_grad():
        study = Study(nets, args.device, args.count, args.guidance, args.draws, args.reference, args.workers)
        solver, steps = args.solver, args.steps

        def save() -> None:
            args.output.write_text(json.dumps(study.result, indent=1) + "\n")

        if "solvers" in sections:
            study.solvers([int(n) for n in args.evaluations.split(",")])
            solver, steps = study.result["scheduler"]["solver"], study.result["scheduler"]["steps"]
            save()
        study.tune(solver, steps)
        for section in ("plans", "drift"):
            if section in sections:
                getattr(study, section)()
                save()
        if "regions" in sections:
            study.regions(args.regions_trained)
        save()
    study.say("done")
    study.pool.terminate()


if __name__ == "__main__":
    main()
