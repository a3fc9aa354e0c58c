import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import type { JobResult } from '#core/generation.ts';
import { openEmbeddedCloud } from '#local/embedded-cloud.ts';

/**
 * Writes docs/reuse.svg: what the product makes of three prompts, each from an earlier video, and of the same
 * prompts and seeds without a cache. The frames are the videos' own posters.
 *
 *     node bench/readme-picture.ts
 */

const MODEL = 'containers/demo-model/package';
const OUT = 'docs/reuse.svg';
const SEED = 11;

/** Requests in the order in which they come; those that are not shown are donors. */
const PROMPTS = [
  { prompt: 'a large red star falling in front of a brick wall at dusk', isShown: false },
  { prompt: 'a small blue ball rising over the ocean at dawn', isShown: false },
  { prompt: 'a large yellow star falling in front of a brick wall at dusk', isShown: true },
  { prompt: 'a small blue ball rising over the ocean at dawn', isShown: true },
  { prompt: 'a small purple ring rising over the ocean at dawn', isShown: true },
];

const SIDE = 150;
const COLUMN = 220;
const ROW = 210;
const COLUMNS = ['donor', 'with the cache', 'without it'];

interface Frame {
  image: string;
  caption: string;
}

const folder = await mkdtemp(join(tmpdir(), 'flexcache-picture-'));
const cloud = await openEmbeddedCloud({ stateDirectory: folder, modelDirectory: MODEL });
const results = new Map<string, { prompt: string; result: JobResult }>();
const rows: { prompt: string; frames: Frame[] }[] = [];
try {
  for (const [index, { prompt, isShown }] of PROMPTS.entries()) {
    const seed = SEED + index;
    const { videoId, result } = await cloud.generate({ prompt, seed });
    results.set(videoId, { prompt, result: result! });
    if (!isShown) continue;
    const donor = results.get(result!.donors[0]?.entryId ?? '');
    if (donor === undefined) throw new Error(`"${prompt}" found no donor: choose another seed`);
    const full = await cloud.generate({ prompt, seed, cache: 'off' });
    const steps = (of: JobResult): string =>
      `${(of.equivalentsRun ?? of.stepsRun).toFixed(1).replace('.0', '')} of ${of.fullSteps} evaluations`;
    rows.push({
      prompt,
      frames: [
        { image: await posterOf(donor.result), caption: donor.prompt },
        { image: await posterOf(result!), caption: `${result!.hit}: ${steps(result!)}` },
        { image: await posterOf(full.result!), caption: `miss: ${steps(full.result!)}` },
      ],
    });
  }
  await writeFile(OUT, pictureOf(rows));
} finally {
  await cloud.close();
  await rm(folder, { recursive: true, force: true });
}

/** A poster as a data URL. */
async function posterOf({ posterKey }: JobResult): Promise<string> {
  const png = await cloud.objects.get(posterKey);
  const jpeg = await sharp(png)
    .resize(2 * SIDE)
    .jpeg({ quality: 82 })
    .toBuffer();
  return `data:image/jpeg;base64,${jpeg.toString('base64')}`;
}

function pictureOf(shown: typeof rows): string {
  const width = 24 + COLUMNS.length * COLUMN;
  const height = 40 + shown.length * ROW;
  const cells = shown.flatMap(({ prompt, frames }, row) => [
    `<text x="24" y="${58 + row * ROW}" class="prompt">“${prompt}”</text>`,
    ...frames.map(({ image, caption }, column) => {
      const x = 24 + column * COLUMN;
      const y = 68 + row * ROW;
      const text = column === 0 ? `“${short(caption)}”` : caption;
      return `<image x="${x}" y="${y}" width="${SIDE}" height="${SIDE}" href="${image}" /><text x="${x}" y="${y + SIDE + 16}" class="soft">${text}</text>`;
    }),
  ]);
  const heads = COLUMNS.map(
    (name, column) => `<text x="${24 + column * COLUMN}" y="28" class="head">${name}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="Videos made from donors beside full generations" font-family="system-ui, sans-serif" font-size="13">
<style>svg { color-scheme: light dark; --ink: #16191d; --soft: #545d69; } @media (prefers-color-scheme: dark) { svg { --ink: #e8ebef; --soft: #a3adba; } } text { fill: var(--ink); } .soft { fill: var(--soft); font-size: 11px; } .head { font-weight: 600; } .prompt { font-size: 12px; }</style>
${[...heads, ...cells].join('\n')}
</svg>
`;
}

/** What tells a donor from the prompt, in the width of a frame. */
function short(prompt: string): string {
  return prompt.length <= 34 ? prompt : `${prompt.slice(0, 33)}…`;
}
