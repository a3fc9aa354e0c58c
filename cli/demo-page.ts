import type { HitKind, LookupPart } from '#core/generation.ts';
import { HIT_ORDER } from '#core/reports/grouping.ts';
import type { VideoReport } from './video-report.ts';

export interface DemoDonor {
  part: LookupPart;
  similarity: number;
  /** Line of the list that made it; null when it is not of this list. */
  line: number | null;
  prompt: string;
  /** PNG and animated WebP; null when the donor's video is gone. */
  media: { poster: Uint8Array; animation: Uint8Array } | null;
}

export interface DemoVideo {
  line: number;
  report: VideoReport;
  donors: DemoDonor[];
  mp4: Uint8Array;
  /** PNG */
  poster: Uint8Array;
}

const HIT_CAPTIONS: Readonly<Record<HitKind, string>> = {
  miss: 'nothing to start from: a full generation',
  background: 'the background of an earlier video, a new object',
  object: 'the object of an earlier video, a new background',
  'object+background': 'the object of one earlier video on the background of another',
  near: 'an earlier video that shows something else, changed where the prompt says so',
  whole: 'an earlier video of nearly the same prompt',
  exact: 'the same prompt and seed again: the stored video',
};

/**
 * One HTML page that needs nothing beside it: every video, picture, style and script is inside, and
 * its content security policy forbids fetching anything.
 */
export function demoPage(videos: readonly DemoVideo[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>FlexCache demo</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>FlexCache demo</h1>
<p>${videos.length} prompts, one after the other, into a cache that was empty at first. Each video starts from what the
videos before it left behind: denoising begins at the start time <i>t</i><sub>0</sub> instead of at 1, and only the rest is computed.
The list is written to show every kind of hit; how often hits come in real use depends on the prompts.</p>
${summary(videos)}
</header>
<main>
${videos.map(card).join('\n')}
</main>
<script>${SCRIPT}</script>
</body>
</html>
`;
}

function summary(videos: readonly DemoVideo[]): string {
  const middle = Math.ceil(videos.length / 2);
  const first = videos.slice(0, middle);
  const second = videos.slice(middle);
  const comparison = (
    title: string,
    unit: string,
    measure: (video: DemoVideo) => number,
  ): string => {
    const before = mean(first.map(measure));
    const after = mean(second.map(measure));
    const widest = Math.max(before, after, Number.MIN_VALUE);
    const row = (label: string, value: number): string =>
      `<div class="row"><span>${label}</span><span class="bar"><span style="width:${((100 * value) / widest).toFixed(1)}%"></span></span><b>${value.toFixed(2)}</b></div>`;
    return `<section class="tile"><h2>${title}</h2>${row(`first ${first.length}`, before)}${row(`last ${second.length}`, after)}<p>${unit}</p></section>`;
  };
  const hits = HIT_ORDER.map((hit) => ({
    hit,
    count: videos.filter((video) => video.report.cache.hit === hit).length,
  })).filter(({ count }) => count > 0);
  const latentBytes = videos
    .filter(({ report }) => report.cache.hit !== 'exact' && report.bytes.latent > 0)
    .map(({ report }) => report.bytes.latent);
  return `<div class="tiles">
${comparison('Seconds a video', 'mean wall time, from request to stored video', ({ report }) => report.seconds.total)}
${comparison('Evaluations a video', 'mean runs of the network; the rest was skipped', ({ report }) => report.steps.run)}
<section class="tile"><h2>Hits by kind</h2><ul class="hits">${hits
    .map(({ hit, count }) => `<li><b>${count}</b> ${badge(hit)}</li>`)
    .join('')}</ul></section>
<section class="tile"><h2>Bytes a latent</h2><p class="figure">${Math.round(mean(latentBytes)).toLocaleString('en')}</p><p>mean of what each video adds to the cache</p></section>
</div>`;
}

function card({ line, report, donors, mp4, poster }: DemoVideo): string {
  const { prompt, cache, steps, seconds, seed } = report;
  const label = escapeHtml(prompt);
  const share = ((100 * steps.run) / Math.max(steps.full, 1)).toFixed(1);
  return `<article id="video-${line}">
<video autoplay loop muted playsinline preload="auto" width="256" height="256" aria-label="${label}" poster="${dataUrl('image/png', poster)}" src="${dataUrl('video/mp4', mp4)}"></video>
<div class="text">
<p class="top"><span class="number">${line}</span>${badge(cache.hit)}</p>
<h2>${label}</h2>
<dl>
<div><dt>start time <i>t</i><sub>0</sub></dt><dd>${cache.t0.toFixed(2)}</dd></div>
<div><dt>evaluations</dt><dd>${steps.run} of ${steps.full}</dd></div>
<div><dt>seconds</dt><dd>${seconds.total.toFixed(2)}</dd></div>
<div><dt>seed</dt><dd>${seed}</dd></div>
</dl>
<div class="bar" role="img" aria-label="${share} percent of a full generation"><span style="width:${share}%"></span></div>
<p class="none">${HIT_CAPTIONS[cache.hit]}</p>
${donors.length === 0 ? '' : `<ul class="donors">${donors.map(donorItem).join('')}</ul>`}
</div>
</article>`;
}

function donorItem({ part, similarity, line, prompt, media }: DemoDonor): string {
  const label = escapeHtml(prompt);
  const picture =
    media === null
      ? '<span class="gone">gone</span>'
      : `<picture><source media="(prefers-reduced-motion: reduce)" srcset="${dataUrl('image/png', media.poster)}"><img width="96" height="96" alt="${label}" title="${label}" src="${dataUrl('image/webp', media.animation)}"></picture>`;
  const origin = line === null ? 'an older video' : `<a href="#video-${line}">video ${line}</a>`;
  return `<li>${picture}<span><b>${part === 'whole' ? 'all' : part}</b> of ${origin}<br>similarity ${similarity.toFixed(2)}</span></li>`;
}

function badge(hit: HitKind): string {
  return `<span class="badge ${hit.replace('+', '-')}">${hit}</span>`;
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

function dataUrl(type: string, bytes: Uint8Array): string {
  return `data:${type};base64,${Buffer.from(bytes).toString('base64')}`;
}

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

const STYLE = `
:root{color-scheme:light dark;--back:light-dark(#f6f7f9,#111418);--card:light-dark(#fff,#1a1f26);--ink:light-dark(#16191d,#e8ebef);--soft:light-dark(#545d69,#a3adba);--line:light-dark(#dde1e7,#2b323c);--accent:light-dark(#2457c5,#7aa5ff)}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
header,main{max-width:1240px;margin:0 auto;padding:1.5rem 1rem}
header{padding-top:2.5rem}
header>p{max-width:75ch;color:var(--soft);margin:.5rem 0 1.5rem}
h1{font-size:1.9rem;margin:0;letter-spacing:-.02em}
h2{font-size:1rem;margin:0}
a{color:var(--accent)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,250px),1fr));gap:1rem}
.tile,article{background:var(--card);border:1px solid var(--line);border-radius:14px}
.tile{padding:1rem 1.1rem}
.tile p{margin:.4rem 0 0;color:var(--soft);font-size:.82rem}
.tile .figure{font-size:1.9rem;color:var(--ink);font-weight:650;line-height:1.3}
.row{display:grid;grid-template-columns:4.2rem 1fr 3.4rem;gap:.6rem;align-items:center;margin-top:.45rem;font-size:.9rem}
.row b{text-align:right;font-variant-numeric:tabular-nums}
.bar{display:block;height:8px;border-radius:4px;background:var(--line);overflow:hidden}
.bar>span{display:block;height:100%;background:var(--accent);border-radius:4px}
.hits{list-style:none;margin:.5rem 0 0;padding:0;display:flex;flex-wrap:wrap;gap:.4rem .9rem}
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,540px),1fr));gap:1rem;padding-bottom:4rem}
article{display:grid;grid-template-columns:minmax(140px,220px) 1fr;gap:1.1rem;padding:1rem;scroll-margin-top:1rem}
article:target{border-color:var(--accent);box-shadow:0 0 0 2px var(--accent)}
video{width:100%;height:auto;aspect-ratio:1;border-radius:10px;background:#000;display:block}
.top{display:flex;gap:.6rem;align-items:center;margin:0 0 .35rem}
.number{color:var(--soft);font-variant-numeric:tabular-nums;min-width:1.4em}
.badge{--tone:light-dark(#5a6470,#9aa5b3);font-size:.78rem;font-weight:600;padding:.1rem .55rem;border-radius:99px;color:var(--tone);border:1px solid var(--tone);white-space:nowrap}
.badge.exact{--tone:light-dark(#0b6b3a,#5fd19a)}
.badge.near{--tone:light-dark(#6a5a0a,#d9c558)}
.badge.whole{--tone:light-dark(#0a6a78,#58c9d9)}
.badge.object-background{--tone:light-dark(#2457c5,#7aa5ff)}
.badge.object{--tone:light-dark(#7a3fb8,#c39bf2)}
.badge.background{--tone:light-dark(#9a4a00,#f0a860)}
dl{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;margin:.6rem 0}
dt{font-size:.75rem;color:var(--soft)}
dd{margin:0;font-variant-numeric:tabular-nums;font-weight:600}
.none{color:var(--soft);font-size:.85rem;margin:.7rem 0 0}
.donors{list-style:none;margin:.5rem 0 0;padding:0;display:flex;flex-wrap:wrap;gap:.8rem}
.donors li{display:flex;flex-direction:column;gap:.3rem;font-size:.78rem;line-height:1.35;color:var(--soft);width:118px}
sub{line-height:0}
.donors a{white-space:nowrap}
.donors img,.gone{width:96px;height:96px;border-radius:8px;display:block;background:var(--line)}
.donors b{color:var(--ink)}
.gone{display:grid;place-items:center}
@media (max-width:480px){article{grid-template-columns:1fr}}
`;

/** Moving pictures only for those who did not ask for still ones. */
const SCRIPT = `
const still = matchMedia('(prefers-reduced-motion: reduce)');
function apply() {
  for (const video of document.querySelectorAll('video')) {
    video.controls = still.matches;
    if (still.matches) video.pause();
    else video.play().catch(() => { video.controls = true; });
  }
}
still.addEventListener('change', apply);
apply();
`;
