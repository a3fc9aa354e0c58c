"""The demo model: a small text-to-video latent diffusion model of a procedural, captioned world."""
