"""Training in stages, each resumable in calls of a few minutes.

    python -m demo_model.train vae      --minutes 8 --call-minutes 8    --checkpoints CK
    python -m demo_model.train data     --clips 98304                   --checkpoints CK
    python -m demo_model.train aux      --minutes 1.8                   --checkpoints CK
    python -m demo_model.train denoiser --minutes 15 --call-minutes 7.5 --checkpoints CK   (twice)
    python -m demo_model.train regions  --minutes 4.5                   --checkpoints CK   (after denoiser, or after demo_model.restore and data)

``--recipe`` says of which networks (demo_model.recipes). ``--minutes`` is the stage's training time and drives its learning-rate
schedule; ``--call-minutes`` is how much of it this call may use. A call goes on where the checkpoint stopped: with the optimizer's state
from ``*-training.pt``, or, where that is gone, from the weights alone. Once a minute it saves them and says how good
they are. ``--batch`` and ``--no-compile`` make tiny CPU rehearsals.
"""

import argparse
import copy
import math
import random
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

from . import captions, checkpoints, networks, recipes, sampling, tokenization, world

CAPTIONS_PER_CLIP = 6
HELD_OUT_CLIPS_SHARE = 0.1
#: Clips and prompts that quality is measured with while training.
QUALITY_SEED = 40_000
#: Layout of a convolution's weights in memory, by their dimensions.
CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
#: Checkpoint that has the weights of a stage.
WEIGHTS = {"vae": "vae", "aux": "aux", "denoiser": "denoiser", "regions": "denoiser"}


class Clock:
    """Seconds of training spent, over all calls of a stage."""

    def __init__(self, spent: float, total: float, call: float):
        self.spent_before, self.total = spent, total
        self.start = time.time()
        self.call = call

    @property
    def spent(self) -> float:
        return self.spent_before + time.time() - self.start

    @property
    def progress(self) -> float:
        return min(1.0, self.spent / self.total)

    @property
    def over(self) -> bool:
        return self.spent >= self.total or time.time() - self.start >= self.call


class Every:
    """Says once in so many seconds that it is time."""

    def __init__(self, seconds: float):
        self.seconds, self.last = seconds, time.time()

    def __call__(self) -> bool:
        if time.time() - self.last < self.seconds:
            return False
        self.last = time.time()
        return True


def mixed_precision(device: str) -> torch.autocast:
    """bf16 where a GPU trains; a CPU, which rehearses, has no fast kernels for it."""
    return torch.autocast(device, torch.bfloat16, enabled=device != "cpu")


def warm_cosine(step: int, progress: float, warmup: int = 200) -> float:
    return min(1.0, (step + 1) / warmup) * (0.5 + 0.5 * math.cos(math.pi * progress)) + 0.01


def log(clock: Clock, step: int, **values: float) -> None:
    print(f"[{clock.spent:6.1f}s] step {step} " + " ".join(f"{k} {v:.4f}" for k, v in values.items()), flush=True)


def psnr(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Per clip, dB."""
    return -10 * ((a - b) ** 2).mean((1, 2, 3, 4)).clamp(min=1e-10).log10()


def put_channels_last(parameters: list[nn.Parameter]) -> None:
    """Lays weights of convolutions out so that these keep channels last in memory."""
    for parameter in parameters:
        if parameter.ndim in CHANNELS_LAST:
            parameter.data = parameter.data.to(memory_format=CHANNELS_LAST[parameter.ndim])


@torch.no_grad()
def reconstruction(encoder: nn.Module, decoder: nn.Module, recipe: recipes.Recipe, device: str, count: int) -> float:
    """Mean PSNR in dB of seeded clips through the VAE, from the posterior's mean."""
    rows = captions.sample_attributes(count, random.Random(QUALITY_SEED))
    generator = torch.Generator(device=device).manual_seed(QUALITY_SEED)
    found = []
    for i in range(0, count, 16):
        video, _ = world.render(torch.tensor(rows[i : i + 16], device=device), generator, recipe.layout.frames)
        found.append(psnr(decoder.eval()(encoder.eval()(video)[0]), video))
    encoder.train(), decoder.train()
    return torch.cat(found).mean().item()


def train_vae(args) -> None:
    device, rng, recipe = args.device, random.Random(args.seed), recipes.recipe_of(args.recipe)
    encoder, decoder = (part.to(device) for part in recipe.make_vae())
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.99), weight_decay=1e-4)
    step, spent = 0, 0.0
    if state := unfinished(args, "vae"):
        encoder.load_state_dict(checkpoints.full(state["encoder"])), decoder.load_state_dict(checkpoints.full(state["decoder"]))
        if "optimizer" in state:
            optimizer.load_state_dict(state["optimizer"])
        step, spent = state["step"], state["spent"]
    if args.channels_last:
        put_channels_last(parameters)
    clock, minute = Clock(spent, args.minutes * 60, args.call_minutes * 60), Every(60)
    if clock.progress == 1:
        return print(f"the stage has had its {args.minutes} minutes: nothing is left to train")
    run_encoder, run_decoder = (torch.compile(m) if args.compile else m for m in (encoder, decoder))
    batch = args.batch or 20

    def save() -> None:
        where = {"step": step, "spent": clock.spent}
        checkpoints.save(args.checkpoints, "vae-training", {
            "encoder": encoder.state_dict(), "decoder": decoder.state_dict(), "optimizer": optimizer.state_dict(), **where,
        })
        checkpoints.save(args.checkpoints, "vae", {
            "encoder": checkpoints.half(encoder.state_dict()), "decoder": checkpoints.half(decoder.state_dict()), **where,
        })
        log(clock, step, psnr_of_means=reconstruction(encoder, decoder, recipe, device, args.quality_count))

    while not clock.over:
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * warm_cosine(step, clock.progress)
        rows = captions.sample_attributes(batch, rng, held_out=False)
        video, mask = world.render(torch.tensor(rows, device=device), frames=recipe.layout.frames)
        with mixed_precision(device):
            mean, log_variance = run_encoder(video)
            restored = run_decoder(mean + torch.randn_like(mean) * (log_variance * 0.5).exp())
        difference = restored.float() - video
        weight = 1 + 4 * mask
        pixel = ((difference.abs() + 4 * difference**2) * weight).mean()
        gradient = sum(difference.diff(dim=axis).abs().mean() for axis in (-1, -2))
        mean, log_variance = mean.float(), log_variance.float()
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
        loss = pixel + gradient + 2e-4 * kl
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step += 1
        if step % args.log_every == 0:
            log(clock, step, loss=loss.item(), kl=kl.item(), psnr=psnr(restored.float(), video).mean().item())
        if minute():
            save()
    save()


def unfinished(args, stage: str) -> dict | None:
    """Where an earlier call of the stage stopped: its whole state, or else the weights that it saved on the way; None where it begins."""
    if (args.checkpoints / f"{stage}-training.pt").exists():
        return checkpoints.load(args.checkpoints, f"{stage}-training", args.device)
    weights = args.checkpoints / f"{WEIGHTS[stage]}.pt"
    state = checkpoints.load(args.checkpoints, WEIGHTS[stage], args.device) if weights.exists() else {}
    return state if state.get("stage", stage) == stage and "spent" in state else None


def load_vae(directory: Path, recipe: recipes.Recipe, device: str) -> tuple[nn.Module, nn.Module]:
    state = checkpoints.load(directory, "vae", device)
    encoder, decoder = (part.to(device) for part in recipe.make_vae())
    encoder.load_state_dict(checkpoints.full(state["encoder"])), decoder.load_state_dict(checkpoints.full(state["decoder"]))
    return encoder.eval(), decoder.eval()


def _caption_batch(job: tuple[list[list[int]], int, bool]) -> tuple[list, list]:
    """Tokens and split labels of whole, object and background captions for some clips (runs in a process pool)."""
    rows, seed, ends = job
    rng = random.Random(seed)
    makers = (captions.caption_segments, captions.object_segments, captions.background_segments)
    ids, labels = [], []
    for row in rows:
        encoded = [
            [tokenization.encode_segments(make(row, rng), rng, noise=0.08, ends=ends) for _ in range(CAPTIONS_PER_CLIP)]
            for make in makers
        ]
        ids.append([[pair[0] for pair in kind] for kind in encoded])
        labels.append([pair[1] for pair in encoded[0]])
    return ids, labels


def make_data(args) -> None:
    """Encodes a training set of latents, masks and tokenised captions; held-out clips come last and serve the judge only."""
    device, rng, recipe = args.device, random.Random(args.seed + 1), recipes.recipe_of(args.recipe)
    layout = recipe.layout
    encoder, _ = load_vae(args.checkpoints, recipe, device)
    held_out = max(1, int(args.clips * HELD_OUT_CLIPS_SHARE))
    rows = captions.sample_attributes(args.clips, rng, held_out=False) + captions.sample_attributes(held_out, rng, held_out=True)
    chunk = 2048
    with ProcessPoolExecutor(max_workers=args.workers) as pool:
        jobs = pool.map(_caption_batch, [(rows[i : i + chunk], args.seed + i, layout.ends) for i in range(0, len(rows), chunk)])
        latents, masks = [], []
        batch = args.batch or 128
        with torch.no_grad(), mixed_precision(device):
            for i in range(0, len(rows), batch):
                video, mask = world.render(torch.tensor(rows[i : i + batch], device=device), frames=layout.frames)
                latents.append(encoder(video)[0].half())
                masks.append(networks.latent_mask(mask, layout.latent).squeeze(1))
        tokens, labels = [], []
        for ids, label in jobs:
            tokens.append(torch.tensor(ids, dtype=torch.int16))
            labels.append(torch.tensor(label, dtype=torch.int8))
    latents = torch.cat(latents)
    sample = latents[: min(len(latents), 8192)].float()
    mean, std = sample.mean((0, 2, 3, 4)), sample.std((0, 2, 3, 4))
    if (args.checkpoints / "norm.pt").exists():
        # What later stages were trained on stays; only a new VAE needs new figures.
        norm = checkpoints.load(args.checkpoints, "norm", device)
        mean, std = norm["mean"], norm["std"]
    shape = (1, -1, 1, 1, 1)
    for i in range(0, len(latents), 4096):
        latents[i : i + 4096] = ((latents[i : i + 4096].float() - mean.view(shape)) / std.view(shape)).half()
    print("latents", tuple(latents.shape), "std", [round(x, 2) for x in std.tolist()], flush=True)
    checkpoints.save(args.checkpoints, "norm", {"mean": mean.cpu(), "std": std.cpu()})
    checkpoints.save(args.checkpoints, "data", {
        "latents": latents.cpu(), "masks": torch.cat(masks).cpu(), "attributes": torch.tensor(rows, dtype=torch.int8),
        "tokens": torch.cat(tokens), "labels": torch.cat(labels), "seen": torch.tensor(args.clips),
    })


class Muon(torch.optim.Optimizer):
    """AdamW for vectors and embeddings, torch's Muon for the matrices inside blocks, as one optimizer with one rate."""

    def __init__(self, modules: list[nn.Module], lr: float):
        matrices, others = [], []
        for module in modules:
            for name, parameter in module.named_parameters():
                inside = (".block." in name or "blocks." in name) and parameter.ndim == 2
                inside = inside and not any(part in name for part in ("modulation", "relative_attention_bias"))
                (matrices if inside else others).append(parameter)
        self.parts = [
            torch.optim.Muon(matrices, lr=lr, weight_decay=0.01, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=lr, betas=(0.9, 0.98), weight_decay=0.01),
        ]
        self.factors = [1.0, 0.6]
        super().__init__([*matrices, *others], {"lr": lr})

    def set_rate(self, lr: float) -> None:
        for part, factor in zip(self.parts, self.factors):
            for group in part.param_groups:
                group["lr"] = lr * factor

    def step(self, closure=None):
        for part in self.parts:
            part.step()

    def state_dict(self):
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state):
        for part, saved in zip(self.parts, state["parts"]):
            part.load_state_dict(saved)


def contrastive(scale: torch.Tensor, text: torch.Tensor, video: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """Symmetric InfoNCE in which rows of the same group are all positives (they are described by the same words)."""
    logits = scale * (text @ video.T).float()
    same = (groups[:, None] == groups[None, :]).float()
    target = same / same.sum(1, keepdim=True)
    return 0.5 * (
        -(target * logits.log_softmax(1)).sum(1).mean() - (target * logits.T.log_softmax(1)).sum(1).mean()
    )


def group_ids(attributes: torch.Tensor, fields: tuple[int, ...]) -> torch.Tensor:
    """One integer per combination of the fields."""
    key = torch.zeros(len(attributes), dtype=torch.long, device=attributes.device)
    for field in fields:
        key = key * captions.CLASS_COUNTS[field] + attributes[:, field].long()
    return key


PART_FIELDS = (
    captions.OBJECT_FIELDS + captions.BACKGROUND_FIELDS, captions.OBJECT_FIELDS, captions.BACKGROUND_FIELDS,
)


def part_latents(latent: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
    """Whole, object on zeros, hole-filled background: what the video tower reads."""
    dilated = networks.dilate(mask.unsqueeze(1).float())
    return [latent, latent * dilated, networks.fill_holes(latent, dilated)]


def train_aux(args) -> None:
    """Look-up towers, prompt splitter, judge and segmenter, and the contrastive start of the denoiser's text encoder."""
    device = args.device
    data = checkpoints.load(args.checkpoints, "data")
    latents, masks, attributes = data["latents"].to(device), data["masks"].to(device), data["attributes"].to(device)
    tokens, labels, seen = data["tokens"].to(device), data["labels"].to(device), int(data["seen"])
    recipe = recipes.recipe_of(args.recipe)
    nets = {"text": recipe.make_text_encoder(), **recipe.make_lookup()}
    nets = {name: net.to(device).train() for name, net in nets.items()}
    scale_log = nn.Parameter(torch.tensor(2.6, device=device))
    parameters = [p for net in nets.values() for p in net.parameters()] + [scale_log]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01)
    run = {name: torch.compile(net) if args.compile and name in ("video_tower", "judge", "segmenter") else net for name, net in nets.items()}
    step, spent, batch = 0, 0.0, args.batch or 512
    if state := unfinished(args, "aux"):
        for name, net in nets.items():
            net.load_state_dict(checkpoints.full(state[name]))
        if "optimizer" in state:
            optimizer.load_state_dict(state["optimizer"])
            scale_log.data.copy_(state["scale"])
        step, spent = state["step"], state["spent"]
    clock, minute = Clock(spent, args.minutes * 60, args.call_minutes * 60), Every(60)
    if clock.progress == 1:
        return print(f"the stage has had its {args.minutes} minutes: nothing is left to train")

    def save() -> None:
        where = {"step": step, "spent": clock.spent}
        checkpoints.save(args.checkpoints, "aux-training", {
            **{name: net.state_dict() for name, net in nets.items()}, "scale": scale_log.data, "optimizer": optimizer.state_dict(), **where,
        })
        checkpoints.save(args.checkpoints, "aux", {**{name: checkpoints.half(net.state_dict()) for name, net in nets.items()}, **where})

    while not clock.over:
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * warm_cosine(step, clock.progress)
        index = torch.randint(0, seen, (batch,), device=device)
        latent, mask, attribute = latents[index].float(), masks[index].float(), attributes[index]
        latent = latent + torch.rand(batch, 1, 1, 1, 1, device=device) * 0.15 * torch.randn_like(latent)
        judged = torch.randint(0, len(latents), (batch,), device=device)
        judge_latent = latents[judged].float()
        judge_latent = judge_latent + torch.rand(batch, 1, 1, 1, 1, device=device) * 0.15 * torch.randn_like(judge_latent)
        with mixed_precision(device):
            videos = run["video_tower"](torch.cat(part_latents(latent, mask))).chunk(3)
            loss_clip = torch.zeros((), device=device)
            scale = scale_log.exp().clamp(max=100)
            for part, video in enumerate(videos):
                pick = torch.randint(0, CAPTIONS_PER_CLIP, (batch,), device=device)
                ids = tokens[index, part, pick].long()
                vector, part_logits = nets["text_tower"](ids, networks.text_mask(ids))
                groups = group_ids(attribute, PART_FIELDS[part])
                loss_clip = loss_clip + contrastive(scale, vector, video, groups)
                if part == 0:
                    retrieval = ((vector @ video.T).argmax(1) == torch.arange(batch, device=device)).float().mean()
                    loss_split = F.cross_entropy(
                        part_logits.float().flatten(0, 1), labels[index, pick].long().flatten(), ignore_index=-100
                    )
                    loss_clip = loss_clip + contrastive(scale, nets["text"].embed(ids, networks.text_mask(ids)), video.detach(), groups)
            judge_logits, _ = run["judge"](judge_latent)
            mask_logits = run["segmenter"](latent)
        heads = judge_logits.float().split(captions.CLASS_COUNTS, 1)
        loss_judge = sum(F.cross_entropy(head, attributes[judged, k].long()) for k, head in enumerate(heads))
        loss_mask = F.binary_cross_entropy_with_logits(mask_logits.float(), mask)
        loss = loss_clip + loss_split + 0.5 * loss_judge + loss_mask
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step += 1
        if step % args.log_every == 0:
            accuracy = [(h.argmax(1) == attributes[judged, k]).float().mean().item() for k, h in enumerate(heads)]
            found = mask_logits > 0
            iou = ((found & (mask > 0)).sum() / (found | (mask > 0)).sum()).item()
            log(clock, step, clip=loss_clip.item(), r1=retrieval.item(), split=loss_split.item(), judge=min(accuracy), iou=iou)
        if minute():
            save()
    save()


ALIGNED_BLOCK, ALIGNMENT_WEIGHT, ALIGNMENT_UNTIL = 3, 0.5, 0.6


def wait_for(path: Path, seconds: float = 180) -> None:
    """Until another process has written the file."""
    end = time.time() + seconds
    while not path.exists():
        if time.time() > end:
            raise TimeoutError(f"{path} did not appear within {seconds:.0f} s")
        time.sleep(0.5)


def draw_conditions(tokens: torch.Tensor, index: torch.Tensor, empty: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids ``[B,L]`` of captions of these clips and times ``[B]``: 80 % whole captions, 6 % object only, 6 % background
    only, 8 % the ``empty [1,L]`` one (for guidance)."""
    batch, device = len(index), index.device
    draw = torch.rand(batch, device=device)
    kind = (draw > 0.80).long() + (draw > 0.86).long()
    ids = tokens[index, kind, torch.randint(0, CAPTIONS_PER_CLIP, (batch,), device=device)].long()
    ids = torch.where((draw > 0.92)[:, None], empty, ids)
    return ids, torch.sigmoid(torch.randn(batch, device=device) + 0.3)


def empty_prompt(layout: recipes.Layout, device: str) -> torch.Tensor:
    """Its token ids ``[1,L]``."""
    return torch.tensor([tokenization.encode_segments([], ends=layout.ends)[0]], device=device)


@torch.no_grad()
def adherence(net: nn.Module, text: nn.Module, judge_state: dict, recipe: recipes.Recipe, device: str, count: int) -> float:
    """Of seeded prompts, generated in seven AB2 steps: the mean over the attributes that the judge recognises."""
    rng, judge = random.Random(QUALITY_SEED), recipe.make_lookup()["judge"].to(device).eval()
    judge.load_state_dict(checkpoints.full(judge_state))
    rows = captions.sample_attributes(count, rng, held_out=False)
    ids = sampling.tokens_of(rows, rng, device=device, ends=recipe.layout.ends)
    noise = sampling.gaussian(count, QUALITY_SEED, device, recipe.layout.latent)
    latents = sampling.sample({"denoiser": net, "textEncoder": text}, ids, noise, 7, 3.0, solver="ab2")
    return sampling.judge({"judge": judge}, latents, rows)[0].mean().item()


def descend(optimizer, loss, live: list, averaged: list, keep: float) -> None:
    """One step along the clipped gradient; the average keeps this share of itself."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(live, 1.0)
    optimizer.step()
    with torch.no_grad():
        torch._foreach_lerp_(averaged, live, 1 - keep)


def train_denoiser(args) -> None:
    """Rectified flow on the latents; the first part of training also aligns a middle block with the video tower's features
    of the clean latent (representation alignment, Yu et al. 2025, arXiv 2410.06940), which makes objects form earlier."""
    device, recipe = args.device, recipes.recipe_of(args.recipe)
    latent_shape = recipe.layout.latent
    aux = checkpoints.load(args.checkpoints, "aux", device)
    net, text, tower = (net.to(device) for net in (recipe.make_denoiser(), recipe.make_text_encoder(), recipe.make_lookup()["video_tower"]))
    text.load_state_dict(checkpoints.full(aux["text"])), tower.load_state_dict(checkpoints.full(aux["video_tower"]))
    state = unfinished(args, "denoiser")
    if state and "optimizer" not in state:
        net.load_state_dict(checkpoints.full(state["net"]))
        text.load_state_dict(checkpoints.full(checkpoints.load(args.checkpoints, "text", device)["text"]))
    tower.eval().requires_grad_(False)
    align = nn.Sequential(nn.Linear(net.width, 512), nn.SiLU(), nn.Linear(512, 80)).to(device)
    average_net, average_text = copy.deepcopy(net), copy.deepcopy(text)
    rate = 1.5e-3
    optimizer = Muon([net, text, align], rate)
    live = [*net.parameters(), *text.parameters()]
    averaged = [*average_net.parameters(), *average_text.parameters()]
    batch = args.batch or 256

    def forward(x0, t, ids, align_weight):
        noise = torch.randn_like(x0)
        tt = t.view(-1, 1, 1, 1, 1)
        with mixed_precision(device):
            mask = networks.text_mask(ids)
            velocity, hidden = net((1 - tt) * x0 + tt * noise, t, text(ids, mask), mask, ALIGNED_BLOCK)
            with torch.no_grad():
                target = tower.trunk.tokens(x0)
            guess = align(hidden).float()
        target = target.float()
        target = target - target.mean((0, 1), keepdim=True)
        alignment = 1 - F.cosine_similarity(guess, target, dim=-1).mean()
        flow = F.mse_loss(velocity.float(), noise - x0)
        return flow + align_weight * alignment, flow, alignment

    run = torch.compile(forward) if args.compile else forward
    if args.compile:
        # compile (backward too) on noise, so that it overlaps with a data stage that is still running
        loss, _, _ = run(
            torch.randn(batch, *latent_shape, device=device), torch.rand(batch, device=device),
            torch.ones(batch, tokenization.MAX_TOKENS, device=device, dtype=torch.long), torch.tensor(0.5, device=device),
        )
        loss.backward()
        net.zero_grad(set_to_none=True), text.zero_grad(set_to_none=True), align.zero_grad(set_to_none=True)
        print(f"compiled after {time.time() - args.started:.0f} s", flush=True)
    step, spent = 0, 0.0
    if state:
        step, spent = state["step"], state["spent"]
    if state and "optimizer" in state:
        for module, key in ((net, "net"), (text, "text"), (align, "align"), (average_net, "average_net"), (average_text, "average_text")):
            module.load_state_dict(state[key])
        optimizer.load_state_dict(state["optimizer"])
    if args.wait_for_data:
        wait_for(args.checkpoints / "data.pt")
    data = checkpoints.load(args.checkpoints, "data")
    seen = int(data["seen"])
    latents, tokens = data["latents"][:seen].to(device), data["tokens"][:seen].to(device)
    del data
    empty = empty_prompt(recipe.layout, device)
    total = args.minutes * 60 if args.finish_by is None else args.finish_by - time.time() + spent
    print(f"training for {total - spent:.0f} s on {seen} clips, {time.time() - args.started:.0f} s after the start", flush=True)
    clock, minute = Clock(spent, total, args.call_minutes * 60), Every(60)
    if clock.progress == 1:
        return print(f"the stage has had its {args.minutes} minutes: nothing is left to train")

    def save() -> None:
        where = {"step": step, "spent": clock.spent, "stage": "denoiser"}
        checkpoints.save(args.checkpoints, "denoiser-training", {
            "net": net.state_dict(), "text": text.state_dict(), "align": align.state_dict(), "average_net": average_net.state_dict(),
            "average_text": average_text.state_dict(), "optimizer": optimizer.state_dict(), **where,
        })
        checkpoints.save(args.checkpoints, "text", {"text": checkpoints.half(average_text.state_dict())})
        checkpoints.save(args.checkpoints, "denoiser", {"net": checkpoints.half(average_net.state_dict()), **where})
        log(clock, step, adherence=adherence(average_net, average_text, aux["judge"], recipe, device, args.quality_count))

    while not clock.over:
        decay = min(1.0, (1 - clock.progress) / 0.45)
        optimizer.set_rate(rate * min(1.0, (step + 1) / 300) * decay + 1e-6)
        index = torch.randint(0, seen, (batch,), device=device)
        ids, t = draw_conditions(tokens, index, empty)
        weight = torch.tensor(ALIGNMENT_WEIGHT if clock.progress < ALIGNMENT_UNTIL else 0.0, device=device)
        loss, flow, alignment = run(latents[index].float(), t, ids, weight)
        step += 1
        descend(optimizer, loss, live, averaged, min(0.999, (1 + step) / (10 + step)))
        if step % args.log_every == 0:
            log(clock, step, flow=flow.item(), alignment=alignment.item())
        if minute():
            save()
    save()


#: Share of a batch that is ordinary generation, so that fine-tuning for regions costs none of it.
FULL_SHARE = 0.5


def random_regions(masks: torch.Tensor) -> torch.Tensor:
    """Live tokens ``[B,n]`` around the objects of ``masks [B,T,H,W]``; all tokens for ``FULL_SHARE`` of the batch.

    The object's mask grown by one or two positions; half of the time united with the mask of another clip (the place of a donor's
    object), sometimes with a box, sometimes the same in all frames.
    """
    batch, device = len(masks), masks.device

    def some(share: float) -> torch.Tensor:
        return (torch.rand(batch, device=device) < share).view(-1, 1, 1, 1, 1)

    once = networks.dilate(masks.unsqueeze(1).float())
    region = torch.where(some(0.3), networks.dilate(once), once)
    region = torch.where(some(0.5), torch.maximum(region, once.roll(1, 0)), region)
    y, x = torch.arange(networks.LATENT_HEIGHT, device=device), torch.arange(networks.LATENT_WIDTH, device=device)
    low = torch.rand(2, batch, 1, 1, 1, 1, device=device) * 0.8 * networks.LATENT_WIDTH
    size = (0.15 + 0.35 * torch.rand(2, batch, 1, 1, 1, 1, device=device)) * networks.LATENT_WIDTH
    box = ((y[:, None] >= low[0]) & (y[:, None] < low[0] + size[0]) & (x >= low[1]) & (x < low[1] + size[1])).float()
    region = torch.where(some(0.15), torch.maximum(region, box), region)
    region = torch.where(some(0.15), region.amax(2, keepdim=True).expand_as(region), region)
    live = F.max_pool3d(region, networks.PATCH, networks.PATCH).flatten(1) > 0
    return live | some(FULL_SHARE).view(-1, 1)


def train_regions(args) -> None:
    """Fine-tunes the denoiser for regions with two clocks: live tokens at a time of their own, all others clean and reading only
    themselves and the unconditional prompt (``two_clocks`` of the denoiser). The loss is on live tokens; the text encoder stays."""
    device, recipe = args.device, recipes.recipe_of(args.recipe)
    layout = recipe.layout
    net, text = recipe.make_denoiser().to(device), recipe.make_text_encoder().to(device)
    net.load_state_dict(checkpoints.full(checkpoints.load(args.checkpoints, "denoiser", device)["net"]))
    text.load_state_dict(checkpoints.full(checkpoints.load(args.checkpoints, "text", device)["text"]))
    text.eval().requires_grad_(False)
    empty = empty_prompt(layout, device)
    average = copy.deepcopy(net)
    rate = args.rate
    optimizer = Muon([net], rate)
    batch = args.batch or 256

    def forward(x0, t, ids, live):
        noise = torch.randn_like(x0)
        tt = t.view(-1, 1, 1, 1, 1)
        inside = networks.grid_mask(live, layout.latent)
        noisy = torch.where(inside > 0, (1 - tt) * x0 + tt * noise, x0)
        with mixed_precision(device):
            mask = networks.text_mask(ids)
            unconditional = text(empty, networks.text_mask(empty))
            velocity = net.two_clocks(noisy, t, text(ids, mask), mask, live, unconditional)
        squared = ((velocity.float() - (noise - x0)) ** 2 * inside).mean((1, 2, 3, 4)) / inside.mean((1, 2, 3, 4))
        whole = live.all(1).float()
        return squared.mean(), (squared * whole).sum() / whole.sum().clamp(min=1), (squared * (1 - whole)).sum() / (1 - whole).sum().clamp(min=1)

    run = torch.compile(forward) if args.compile else forward
    if args.compile:
        loss, _, _ = run(
            torch.randn(batch, *layout.latent, device=device), torch.rand(batch, device=device),
            torch.ones(batch, tokenization.MAX_TOKENS, device=device, dtype=torch.long),
            torch.rand(batch, layout.tokens, device=device) < 0.5,
        )
        loss.backward()
        net.zero_grad(set_to_none=True)
        print(f"compiled after {time.time() - args.started:.0f} s", flush=True)
    step, spent = 0, 0.0
    if state := unfinished(args, "regions"):
        step, spent = state["step"], state["spent"]
        if "optimizer" in state:
            net.load_state_dict(state["net"]), average.load_state_dict(state["average"])
            optimizer.load_state_dict(state["optimizer"])
    if args.wait_for_data:
        wait_for(args.checkpoints / "data.pt")
    data = checkpoints.load(args.checkpoints, "data")
    seen = int(data["seen"])
    latents, tokens, masks = (data[name][:seen].to(device) for name in ("latents", "tokens", "masks"))
    del data
    parameters, averaged = list(net.parameters()), list(average.parameters())
    judge_state = checkpoints.load(args.checkpoints, "aux", device)["judge"]
    clock, minute = Clock(spent, args.minutes * 60, args.call_minutes * 60), Every(60)
    if clock.progress == 1:
        return print(f"the stage has had its {args.minutes} minutes: nothing is left to train")
    print(f"training on {seen} clips, {time.time() - args.started:.0f} s after the start", flush=True)

    def save() -> None:
        where = {"step": step, "spent": clock.spent, "stage": "regions"}
        checkpoints.save(args.checkpoints, "regions-training", {
            "net": net.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict(), **where,
        })
        checkpoints.save(args.checkpoints, "denoiser", {"net": checkpoints.half(average.state_dict()), **where})
        log(clock, step, adherence=adherence(average, text, judge_state, recipe, device, args.quality_count))

    while not clock.over:
        optimizer.set_rate(rate * min(1.0, (step + 1) / 100) * (1 - clock.progress) + 1e-6)
        index = torch.randint(0, seen, (batch,), device=device)
        ids, t = draw_conditions(tokens, index, empty)
        loss, whole, region = run(latents[index].float(), t, ids, random_regions(masks[index]))
        step += 1
        descend(optimizer, loss, parameters, averaged, min(0.998, (1 + step) / (10 + step)))
        if step % args.log_every == 0:
            log(clock, step, whole=whole.item(), region=region.item())
        if minute():
            save()
    save()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["vae", "data", "aux", "denoiser", "regions"])
    parser.add_argument("--recipe", choices=recipes.NAMES, default="own", help="which networks")
    parser.add_argument("--minutes", type=float, default=1, help="training time of the stage over all calls")
    parser.add_argument("--call-minutes", type=float, default=float("inf"), help="training time of this call")
    parser.add_argument("--clips", type=int, default=98304)
    parser.add_argument("--batch", type=int, default=0, help="0 = the stage's default")
    parser.add_argument("--checkpoints", type=Path, required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=12)
    parser.add_argument("--log-every", type=int, default=200)
    parser.add_argument("--quality-count", type=int, default=128, help="clips or prompts that quality is measured with on the way")
    parser.add_argument("--wait-for-data", action="store_true", help="denoiser, regions: compile while another process makes the data")
    parser.add_argument("--finish-by", type=float, help="denoiser: train until this epoch second instead of for --minutes")
    parser.add_argument("--channels-last", action="store_true", help="vae: keep channels last in memory")
    parser.add_argument("--rate", type=float, default=5e-4, help="regions: the largest learning rate")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    args = parser.parse_args(arguments)
    args.started = time.time()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
    torch.manual_seed(args.seed)
    {"vae": train_vae, "data": make_data, "aux": train_aux, "denoiser": train_denoiser, "regions": train_regions}[args.stage](args)


if __name__ == "__main__":
    main()
