"""The procedural world: renders attribute rows to clips of 128x128 pixels and their object masks.

Everything is drawn with signed distances in coordinates -1..1 on the device of choice. Detail smaller than a few
pixels is avoided on purpose: a codec of this size would spend its bits on it.
"""

import math

import torch

FRAMES, HEIGHT, WIDTH = 16, 128, 128

RADII = [0.23, 0.33, 0.45]
COLOR_RGB = [
    (220, 40, 40), (245, 140, 30), (245, 220, 50), (40, 170, 70), (50, 90, 230),
    (140, 60, 190), (245, 130, 185), (245, 245, 245), (38, 38, 44), (50, 210, 220),
]
BLACK = 8
LIGHT_SKY = [
    [(0.98, 0.72, 0.62), (0.62, 0.66, 0.86)],
    [(0.70, 0.87, 0.99), (0.32, 0.60, 0.95)],
    [(0.97, 0.52, 0.28), (0.38, 0.22, 0.48)],
    [(0.10, 0.12, 0.28), (0.02, 0.03, 0.12)],
]
LIGHT_GAIN = [(0.95, 0.82, 0.80), (1.0, 1.0, 1.0), (0.88, 0.62, 0.55), (0.34, 0.38, 0.56)]


def _hash01(x: torch.Tensor) -> torch.Tensor:
    return torch.frac(torch.sin(x * 127.1) * 43758.5453).abs()


def _mix(mask: torch.Tensor, inside: torch.Tensor, outside: torch.Tensor) -> torch.Tensor:
    return mask * inside + (1 - mask) * outside


def _cover(distance: torch.Tensor, softness: float = 0.02) -> torch.Tensor:
    """Anti-aliased coverage of a signed distance (negative inside)."""
    return torch.clamp(0.5 - distance / softness, 0, 1)


def _shape_distance(shape: int, px: torch.Tensor, py: torch.Tensor) -> torch.Tensor:
    radius = (px**2 + py**2).sqrt()
    if shape == 0:
        return radius - 0.95
    if shape == 1:
        return torch.maximum(px.abs(), py.abs()) - 0.82
    if shape == 2:
        return torch.maximum(0.88 * px.abs() - 0.47 * (py + 1.0), py - 0.8)
    if shape == 3:
        angle = torch.atan2(px, -py)
        lobes = torch.cos(((angle * 5 / (2 * math.pi) + 0.5) % 1 - 0.5) * 2 * math.pi)
        return radius - (0.68 + 0.34 * lobes)
    if shape == 4:
        return (radius - 0.72).abs() - 0.27
    if shape == 5:
        qx, qy = px.abs() * 1.1, -py * 1.1 + 0.1
        return (qx**2 + (qy - 0.7125 * qx.sqrt()) ** 2).sqrt() - 0.82
    if shape == 6:
        return (px.abs() * 1.6 + py.abs() - 1.05) * 0.8
    return torch.minimum(
        torch.maximum(px.abs() - 0.34, py.abs() - 1), torch.maximum(py.abs() - 0.34, px.abs() - 1)
    )


@torch.no_grad()
def render(
    attributes: torch.Tensor, generator: torch.Generator | None = None, frames: int = FRAMES
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attribute rows ``[B,7]`` -> video ``[B,F,3,128,128]`` in 0..1 and object mask ``[B,F,1,128,128]``.

    Position, phase and texture vary with ``generator``; the device is that of ``attributes``. The same motion is seen in
    any number of ``frames``.
    """
    device, batch = attributes.device, attributes.shape[0]

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, device=device, generator=generator)

    grid_y, grid_x = torch.meshgrid(
        torch.linspace(-1, 1, HEIGHT, device=device), torch.linspace(-1, 1, WIDTH, device=device), indexing="ij"
    )
    grid_x, grid_y = grid_x[None, None], grid_y[None, None]
    time = torch.linspace(0, 1, frames, device=device).view(1, frames, 1, 1)
    background = _render_background(attributes, grid_x, grid_y, time, uniform)
    return _render_object(attributes, background, grid_x, grid_y, time, uniform)


def _render_background(attributes, grid_x, grid_y, time, uniform) -> torch.Tensor:
    device, batch, frames = attributes.device, attributes.shape[0], time.shape[1]
    sky_colors = torch.tensor(LIGHT_SKY, device=device)[attributes[:, 5]]
    gain = torch.tensor(LIGHT_GAIN, device=device)[attributes[:, 5]].view(batch, 1, 3, 1, 1)
    pan = (attributes[:, 6] == 1).float().view(batch, 1, 1, 1) * 0.8
    phase, phase2 = (uniform(batch) * 6.28).view(batch, 1, 1, 1), (uniform(batch) * 6.28).view(batch, 1, 1, 1)
    xs = (grid_x + pan * time).expand(batch, frames, HEIGHT, WIDTH)
    ys = grid_y.expand(batch, frames, HEIGHT, WIDTH)
    height = ((grid_y + 1) / 1.3).clamp(0, 1).view(1, 1, 1, HEIGHT, WIDTH)
    sky = sky_colors[:, 0].view(batch, 1, 3, 1, 1) * height + sky_colors[:, 1].view(batch, 1, 3, 1, 1) * (1 - height)
    sky = sky.expand(batch, frames, 3, HEIGHT, WIDTH)
    out = sky.clone()

    def color(r: float, g: float, b: float) -> torch.Tensor:
        return torch.tensor([r, g, b], device=device).view(1, 1, 3, 1, 1)

    def lift(mask: torch.Tensor) -> torch.Tensor:
        return mask.unsqueeze(2)

    def hills(far, near):
        def paint(x, y, p, q, s, g):
            far_edge = 0.05 + 0.12 * torch.sin(2.2 * x + p)
            near_edge = 0.42 + 0.10 * torch.sin(3.1 * x + q)
            return _mix(lift(_cover(near_edge - y)), near * g, _mix(lift(_cover(far_edge - y)), far * g, s))

        return paint

    def waves(x, y, p, speed):
        return 0.5 + 0.5 * torch.sin(15 * y + 1.6 * torch.sin(4 * x + p) + speed * time)

    def ocean(x, y, p, q, s, g):
        crest = lift(waves(x, y, p, 7))
        return _mix(lift(_cover(0.0 - y)), _mix(crest, color(0.27, 0.64, 0.82), color(0.10, 0.38, 0.62)) * g, s)

    def snowfield(x, y, p, q, s, g):
        image = hills(color(0.88, 0.92, 0.98), color(0.97, 0.98, 1.0))(x, y, p, q, s, g)
        cx, cy = x * 3 + p, y * 3 - 2 * time + q
        jitter_x = _hash01(torch.floor(cx) + 17 * torch.floor(cy))
        jitter_y = _hash01(torch.floor(cx) * 3 + torch.floor(cy) * 7)
        distance = (
            (torch.frac(cx) % 1 - 0.3 - 0.4 * jitter_x) ** 2 + (torch.frac(cy) % 1 - 0.3 - 0.4 * jitter_y) ** 2
        ).sqrt() - 0.13
        return _mix(lift(_cover(distance, 0.12) * (jitter_x > 0.4).float()), torch.ones_like(image), image)

    def city(x, y, p, q, s, g):
        image = s
        layers = ((2.6, -0.15, 0.5, color(0.45, 0.47, 0.56)), (3.6, 0.2, 0.5, color(0.28, 0.30, 0.38)))
        for layer, (frequency, base, amplitude, wall) in enumerate(layers):
            cell = torch.floor(x * frequency + p + q * layer)
            roof = base + amplitude * (_hash01(cell + layer * 31) - 0.5)
            wx, wy = x * frequency * 2 + p, (y + 2) * 4.5
            window = _cover(torch.maximum((torch.frac(wx + 40) - 0.5).abs() - 0.24, (torch.frac(wy) - 0.5).abs() - 0.24), 0.12)
            lit = window * (_hash01(torch.floor(wx + 40) * 1.7 + torch.floor(wy) * 5.3) > 0.45).float()
            dark = (g.mean(2, keepdim=True) < 0.5).float()
            facade = _mix(lift(lit), color(1.0, 0.9, 0.5) * (dark + 0.55 * (1 - dark)), wall * (g * 0.8 + 0.2))
            image = _mix(lift(_cover(roof - y)), facade, image)
        return image

    def forest(x, y, p, q, s, g):
        image = _mix(lift(_cover(0.55 - y)), color(0.22, 0.42, 0.18) * g, s * 0.8 + color(0.01, 0.04, 0.016))
        trunk = (torch.frac(x * 2.0 + p + 20) - 0.5).abs() - 0.14
        image = _mix(lift(_cover(trunk, 0.06) * (y < 0.65).float()), color(0.40, 0.27, 0.16) * g, image)
        canopy = -0.35 + 0.14 * torch.sin(6 * x + q) + 0.06 * torch.sin(12 * x + p)
        return _mix(lift(_cover(y - canopy)), color(0.12, 0.40, 0.16) * g, image)

    def brick(x, y, p, q, s, g):
        row = torch.floor((y + 2) * 4)
        column = x * 2.0 + 0.5 * (row % 2) + 10 + p
        joint = torch.maximum((torch.frac(column) - 0.5).abs() - 0.45, (torch.frac((y + 2) * 4) - 0.5).abs() - 0.40)
        shade = 0.85 + 0.3 * _hash01(torch.floor(column) * 1.3 + row * 7.7)
        return _mix(lift(_cover(joint, 0.05)), color(0.66, 0.28, 0.20) * lift(shade) * g, color(0.78, 0.74, 0.68) * g)

    def checker(x, y, p, q, s, g):
        soft = (torch.sin(math.pi * (2.5 * x + p)) * torch.sin(math.pi * (2.5 * y + q)) * 14).clamp(-0.5, 0.5) + 0.5
        return _mix(lift(soft), color(0.86, 0.86, 0.82) * g, color(0.30, 0.34, 0.42) * g)

    def volcano(x, y, p, q, s, g):
        xx = x + 0.5 * torch.sin(p)
        glow = torch.exp(-((xx * 3) ** 2 + ((y + 0.25) * 2.5) ** 2)) * (0.75 + 0.25 * torch.sin(12 * time + q))
        image = s + color(0.9, 0.35, 0.05) * lift(glow)
        image = _mix(lift(_cover((xx.abs() - 0.15) - (y + 0.2))), color(0.30, 0.22, 0.22) * g, image)
        lava = (xx + 0.05 * torch.sin(7 * y + q)).abs() - 0.08
        image = _mix(lift(_cover(lava, 0.05) * (y > -0.18).float()), color(1.0, 0.45, 0.08), image)
        return _mix(lift(_cover(0.72 - y)), color(0.20, 0.16, 0.16) * g, image).clamp(0, 1)

    def beach(x, y, p, q, s, g):
        crest = lift(waves(x, y, p, 6))
        image = _mix(lift(_cover(-0.05 - y)), _mix(crest, color(0.38, 0.78, 0.84), color(0.12, 0.50, 0.66)) * g, s)
        shore = 0.35 + 0.06 * torch.sin(3 * x + q + 2 * time)
        return _mix(lift(_cover(shore - y)), color(0.95, 0.86, 0.62) * g, image)

    def space(x, y, p, q, s, g):
        nebula = (0.5 + 0.5 * torch.sin(3 * x + p + torch.sin(4 * y + q))) * (0.5 + 0.5 * torch.sin(2.5 * y + p))
        image = s * 0.18 + color(0.02, 0.02, 0.05) + s * 0.35 * lift(nebula)
        cx, cy = x * 3.2 + p * 3, y * 3.2 + q * 3
        jitter_x = _hash01(torch.floor(cx) * 2.3 + 11 * torch.floor(cy))
        jitter_y = _hash01(torch.floor(cx) * 5.1 + torch.floor(cy) * 3)
        distance = (
            (torch.frac(cx) % 1 - 0.25 - 0.5 * jitter_x) ** 2 + (torch.frac(cy) % 1 - 0.25 - 0.5 * jitter_y) ** 2
        ).sqrt() - 0.12
        return _mix(lift(_cover(distance, 0.10) * (jitter_x > 0.5).float()), torch.ones_like(image), image).clamp(0, 1)

    def autumn(x, y, p, q, s, g):
        image = hills(color(0.86, 0.52, 0.20), color(0.72, 0.36, 0.14))(x, y, p, q, s, g)
        tree_x = torch.frac(x * 1.6 + p + 10) - 0.5
        crown = (tree_x**2 * 0.4 + ((y - 0.12) * 0.9) ** 2).sqrt() - 0.18
        return _mix(lift(_cover(crown)), color(0.88, 0.30, 0.12) * g, image)

    painters = [
        hills(color(0.42, 0.74, 0.30), color(0.26, 0.58, 0.20)),
        hills(color(0.93, 0.78, 0.50), color(0.84, 0.64, 0.36)),
        ocean, snowfield, city, forest, brick, checker, volcano, beach, space, autumn,
    ]
    for scene, paint in enumerate(painters):
        rows = (attributes[:, 4] == scene).nonzero().flatten()
        if len(rows):
            out[rows] = paint(xs[rows], ys[rows], phase[rows], phase2[rows], sky[rows], gain[rows])
    return out


def _render_object(attributes, background, grid_x, grid_y, time, uniform) -> tuple[torch.Tensor, torch.Tensor]:
    device, batch, frames = attributes.device, attributes.shape[0], time.shape[1]
    base_radius = torch.tensor(RADII, device=device)[attributes[:, 2]].view(batch, 1)
    motion = attributes[:, 3].view(batch, 1)
    t = time.view(1, frames)

    def jitter(scale: float) -> torch.Tensor:
        return ((uniform(batch, 1) * 2 - 1) * scale).expand(batch, frames).clone()

    x, y, angle = jitter(0.40), jitter(0.35), jitter(0.3)
    radius = base_radius.expand(batch, frames).clone()
    orbit_phase = uniform(batch, 1) * 6.28
    zero = torch.zeros_like(x)

    def when(index: int, value: torch.Tensor, otherwise: torch.Tensor) -> torch.Tensor:
        return torch.where((motion == index).expand(batch, frames), value + zero, otherwise)

    triangle_wave = (torch.frac(t * 1.5) * 2 - 1).abs() * 2 - 1
    x = when(0, -0.65 + 1.3 * t, x)
    x = when(1, 0.65 - 1.3 * t, x)
    y = when(2, 0.6 - 1.2 * t, y)
    y = when(3, -0.6 + 1.2 * t, y)
    y = when(4, 0.5 - 0.95 * torch.sin(3 * math.pi * t).abs(), y)
    x = when(5, 0.45 * torch.cos(2 * math.pi * t + orbit_phase), x)
    y = when(5, 0.45 * torch.sin(2 * math.pi * t + orbit_phase), y)
    angle = when(6, angle + 2 * math.pi * t * 0.9, angle)
    radius = when(7, base_radius * (0.5 + 1.0 * t), radius)
    radius = when(8, base_radius * (1.5 - 1.0 * t), radius)
    x = when(9, -0.65 + 1.3 * t, x)
    y = when(9, 0.4 * triangle_wave, y)

    local_x, local_y = grid_x - x.view(batch, frames, 1, 1), grid_y - y.view(batch, frames, 1, 1)
    cos, sin = torch.cos(angle).view(batch, frames, 1, 1), torch.sin(angle).view(batch, frames, 1, 1)
    scale = radius.view(batch, frames, 1, 1)
    px, py = (local_x * cos + local_y * sin) / scale, (-local_x * sin + local_y * cos) / scale
    distance = torch.empty(batch, frames, HEIGHT, WIDTH, device=device)
    for shape in range(8):
        rows = (attributes[:, 0] == shape).nonzero().flatten()
        if len(rows):
            distance[rows] = _shape_distance(shape, px[rows], py[rows])
    distance = distance * scale
    outline_width = 0.035
    mask = _cover(distance, 0.03).unsqueeze(2)
    body = _cover(distance + outline_width, 0.03).unsqueeze(2)
    rgb = (torch.tensor(COLOR_RGB, device=device, dtype=torch.float) / 255)[attributes[:, 1]].view(batch, 1, 3, 1, 1)
    outline = torch.where(
        (attributes[:, 1] == BLACK).view(batch, 1, 1, 1, 1), torch.tensor(0.85, device=device), torch.tensor(0.08, device=device)
    )
    shade = (0.82 + 0.22 * torch.sigmoid(-8 * (py + 0.1 * px))).unsqueeze(2)
    highlight = 0.3 * torch.exp(-8 * ((px + 0.35) ** 2 + (py + 0.4) ** 2)).unsqueeze(2)
    gain = torch.tensor(LIGHT_GAIN, device=device)[attributes[:, 5]].view(batch, 1, 3, 1, 1)
    surface = (rgb * (shade + highlight) + 0.03).clamp(0, 1) * (gain * 0.3 + 0.7)
    painted = _mix(body, surface, outline * (gain * 0.3 + 0.7))
    return _mix(mask, painted, background).clamp(0, 1), mask
