import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { HIT_KINDS } from '#core/generation.ts';
import type { Estimate } from '#core/statistics/intervals.ts';
import {
  adherenceOfRow,
  dollarsOf,
  qualityLoss,
  serviceOf,
  type Dollars,
  type QualityLoss,
  type Service,
} from './comparison.ts';
import { bytesCurve, costCurve, hitsCurve, qualityCurve } from './figures.ts';
import type { ShownVideo, ShownVideos } from './pictures.ts';
import { HIT_LETTERS, type RowResult } from './result.ts';
import { ROWS } from './rows.ts';
import { ASSUMED_TIMINGS, TIMING_FILE, type Timing } from './timing.ts';

/**
 * Writes the tables of docs/evaluation.md, its figures and the page of the worst and the best videos from the
 * results of `bench/table/main.ts`.
 *
 *     node bench/table/report.ts [--results docs/evaluation] [--docs docs] [--without-simulation]
 */
const { values: flags } = parseArgs({
  options: {
    results: { type: 'string', default: 'docs/evaluation' },
    docs: { type: 'string', default: 'docs' },
    model: { type: 'string', default: 'containers/demo-model/package' },
    'without-simulation': { type: 'boolean', default: false },
  },
});

/** One row of the tables. */
export interface TableRow {
  result: RowResult;
  loss: QualityLoss | null;
  service: Service;
  dollars: Dollars;
}

const folder = resolve(flags.results);
const docs = resolve(flags.docs);
/** Rows with videos, and rows that were only planned. */
const made = await readResults(folder);
const planned = await readResults(join(folder, 'planned'));
/** Without N=50 there are too few videos for the table, so it shows the planned rows. */
const results = made.has('none-50') || planned.size === 0 ? made : planned;
if (results.size === 0) throw new Error(`there is no row in ${folder}: run bench/table/main.ts`);
const isPlanned = results === planned;
const timings = isPlanned ? ASSUMED_TIMINGS : await readTimings();
/** Timing for queues and dollars: a CPU, where evaluations dominate as they do with large models. */
const timing = timings.find(({ provider }) => provider === 'cpu') ?? timings[0]!;
const rows = tableRows(results);
const rowOf = (id: string): TableRow | undefined => rows.find(({ result }) => result.row.id === id);

const plannedRows = tableRows(planned);
const plannedRowOf = (id: string): TableRow | undefined =>
  plannedRows.find(({ result }) => result.row.id === id);

function tableRows(of: ReadonlyMap<string, RowResult>): TableRow[] {
  const reference = of.get('none-50') ?? of.get('none');
  return [...of.values()].map((result) => {
    const service = serviceOf(result, timing);
    return {
      result,
      loss:
        reference === undefined || result.isPlanned || result === reference
          ? null
          : qualityLoss(result, reference),
      service,
      dollars: dollarsOf(result, service),
    };
  });
}

async function readTimings(): Promise<Timing[]> {
  return JSON.parse(await readFile(join(folder, TIMING_FILE), 'utf8')) as Timing[];
}

async function readResults(from: string): Promise<Map<string, RowResult>> {
  const files = new Set(await readdir(from).catch(() => []));
  const found = new Map<string, RowResult>();
  for (const { id } of ROWS) {
    if (!files.has(`${id}.json`)) continue;
    found.set(id, JSON.parse(await readFile(join(from, `${id}.json`), 'utf8')) as RowResult);
  }
  return found;
}

const QUALITY_FIGURE = '![Evaluations against quality](figures/evaluations-quality.svg)';

function conditions(): string {
  const ours = rowOf('ours')?.result ?? rows[0]!.result;
  const { requests, seed, videos, createdAt, modelRevision, full } = ours;
  const measured = made.get('none-50')?.requests.index.length;
  const count = requests.index.length.toLocaleString('en');
  const model = `Model revision ${modelRevision.slice(0, 12)}; tuned solver ${full.solver} at N=${full.steps}.`;
  const text = isPlanned
    ? [
        `${count} requests, seed ${seed}, of which ${videos.toLocaleString('en')} are not exact repeats. ${createdAt.slice(0, 10)}. ${model}`,
        '**No videos were made for these rows: no GPU was available.** They show what the systems decide, with the cosines of prompts and videos of `flexcache simulate`, without quality. Refitted ladders come from an earlier study of 32 to 40 prompts, and MoDM has no row. Rows with videos are below.',
        `Seconds were measured earlier, on an idle machine ([media.md](media.md)). ${workers()}`,
      ]
    : [
        `${count} requests, seed ${seed}, ${videos.toLocaleString('en')} videos made (the others are exact repeats); quality relative to N=50 on ${measured ?? 0} of them. ${createdAt.slice(0, 10)}, ${machines()}. ${model}`,
        workers(),
      ];
  if (ours.calibratedAt !== null) {
    text.push(
      `FlexCache used the calibration of ${ours.calibratedAt.slice(0, 10)} ([calibration.md](calibration.md)).`,
    );
  }
  return text.join('\n\n');
}

/** Summarizes the most important rows in sentences; needs videos. */
function summary(): string {
  const [ours, none] = [rowOf('ours'), rowOf('none')];
  const loss = ours && none && qualityLoss(ours.result, none.result);
  if (isPlanned || !loss) return 'No videos were made for these rows.';
  const fewer = (id: string): string => (equivalents(rowOf(id)!) / equivalents(ours)).toFixed(1);
  const evaluationsOf = ({ result }: TableRow): string => result.equivalents.mean.toFixed(2);
  const sentences = [
    `FlexCache takes ${evaluationsOf(ours)} evaluations a request, ${fewer('none')} times fewer than no cache with the same solver (${evaluationsOf(none)}), ${fewer(AS_DESCRIBED)} times fewer than NIRVANA as published with Euler and ${fewer('nirvana-published-misses')} times fewer than NIRVANA as published with our solver.`,
    `Relative to no cache it loses ${interval(loss.adherence, 1, 100, ' %')} of adherence, and the Frechet distance grows by ${loss.frechet === null ? '' : interval(loss.frechet, 1, 100, ' %')}.`,
  ];
  const rivals = rows.filter(
    ({ result: { row, full } }) =>
      row.kind !== 'ours' &&
      row.kind !== 'none' &&
      !row.isShuffled &&
      full.steps === none.result.full.steps,
  );
  const cheapest = rivals.sort((one, other) => equivalents(one) - equivalents(other)).slice(0, 3);
  const lost = cheapest.map((row) => {
    const own = qualityLoss(row.result, none.result)!;
    return `${row.result.row.label.replace(', tuned solver', '')} ${evaluationsOf(row)} evaluations, ${interval(own.adherence, 1, 100, ' %')} of adherence, FD ${own.frechet === null ? 'unknown' : interval(own.frechet, 1, 100, ' %')}`;
  });
  sentences.push(
    `The cheapest other systems with the same solver, relative to no cache: ${lost.join('; ')}.`,
  );
  return sentences.map((sentence) => `- ${sentence}`).join('\n');
}

/** Lists the machines that made the rows. */
function machines(): string {
  const rowsOf = new Map<string, string[]>();
  for (const { result } of rows) {
    const place = `${result.machine}, ${result.provider}`;
    rowsOf.set(place, [...(rowsOf.get(place) ?? []), result.row.label]);
  }
  const places = [...rowsOf].sort(([, one], [, other]) => other.length - one.length);
  return places
    .map(([place, labels], index) => (index === 0 ? place : `${labels.join('; ')} on ${place}`))
    .join('; ');
}

/** Describes the timings of one worker. */
function workers(): string {
  const each = timings.map((of) => `${seconds(of)} (${of.machine}, ${of.provider})`).join('; ');
  return `One worker: ${each}. Queues and dollars use the first CPU timing.`;
}

function seconds({ evaluation, fixed, donor }: Timing): string {
  return `${milliseconds(evaluation)} an evaluation, ${milliseconds(fixed)} for the rest of a video, ${milliseconds(donor)} to decode a donor`;
}

/** Shows the rows with videos if the main table has planned rows. */
function madeSection(): string {
  if (!isPlanned) return plannedSection();
  if (made.size === 0) return 'None.';
  const shown = tableRows(made);
  const [{ result }] = shown as [TableRow];
  return [
    `The first ${result.requests.index.length} requests, on ${result.machine}. The intervals are wide because there are few requests, and a Frechet distance in 512 dimensions needs hundreds of videos. The package's reuse-study.json compares 512 videos of every kind of hit with full generations.`,
    qualityTable(shown),
  ].join('\n\n');
}

/** Shows the rows that were only planned if the main table has videos. */
function plannedSection(): string {
  const left = plannedRows.filter(({ result }) => !made.has(result.row.id));
  if (left.length === 0) return 'All rows above.';
  return [
    `All rows above. The following rows are plans without videos or quality, with the cosines of prompts and videos of \`flexcache simulate\` (${left[0]!.result.createdAt.slice(0, 10)}, before the start points of the rows above were measured).`,
    qualityTable(left),
  ].join('\n\n');
}

function qualityTable(shown: readonly TableRow[]): string {
  const hasVideos = shown.some(({ result }) => !result.isPlanned);
  const none = shown.find(({ result }) => result.row.id === 'none')?.result.diversity?.mean;
  const other = shown.some(({ result }) => result.row.id === 'none-50') ? 'N=50' : 'no cache';
  const counted = ['system', 'N', ...HIT_KINDS, 'evaluations', 'equivalents'];
  const judged = ['adherence', `adherence loss to ${other}`, `FD growth to ${other}`, 'diversity'];
  return markdownTable(
    hasVideos ? [...counted, ...judged] : counted,
    shown.map(({ result, loss }) => {
      const counts = countHits(result);
      const { diversity } = result;
      const cells = [
        result.row.label,
        String(result.full.steps),
        ...HIT_KINDS.map((hit) => String(counts[HIT_LETTERS[hit]] ?? 0)),
        interval(result.evaluations, 2),
        result.equivalents.mean.toFixed(2),
      ];
      if (!hasVideos) return cells;
      const isKnown = diversity !== null && none !== undefined;
      return [
        ...cells,
        interval(adherenceOfRow(result), 3),
        loss === null ? '' : interval(loss.adherence, 1, 100, ' %'),
        loss?.frechet ? interval(loss.frechet, 1, 100, ' %') : '',
        isKnown ? interval(diversity, 0, 100 / none, ' %') : '',
      ];
    }),
  );
}

function costTable(): string {
  const head = [
    'system',
    ...timings.map(({ machine, provider }) => `seconds, ${provider}, ${machine}`),
    'videos an hour',
    'p50 s',
    'p95 s',
    'bytes an entry',
    'bytes a hit reads',
    'total MB',
    '$ GPU',
    '$ storage',
    '$',
  ];
  return markdownTable(
    head,
    rows
      .filter(({ result }) => !result.row.isOnlyMeasured)
      .map(({ result, service, dollars }) => {
        const { entries, bytes, bytesRead } = result.holdings;
        const hits = [...result.requests.hits].filter((hit) => hit !== 'm' && hit !== 'e').length;
        return [
          result.row.label,
          ...timings.map((each) => serviceOf(result, each).seconds.toFixed(3)),
          service.perHour.toFixed(0),
          service.latency.p50.toFixed(3),
          service.latency.p95.toFixed(3),
          entries === 0 ? '' : Math.round(bytes / entries).toLocaleString('en'),
          bytesRead === 0 ? '' : Math.round(bytesRead / hits).toLocaleString('en'),
          entries === 0 ? '' : (bytes / 1e6).toFixed(1),
          dollars.gpu.toFixed(4),
          dollars.storage.toFixed(4),
          (dollars.gpu + dollars.storage).toFixed(4),
        ];
      }),
  );
}

interface Goal {
  name: string;
  /** Id of FlexCache's row. */
  ours: string;
  other: string;
  goal: number;
  value(ours: TableRow, other: TableRow): number;
  /** Whether lower is better. */
  isAtMost?: boolean;
  /** Explains a missed goal. */
  why(ours: TableRow, other: TableRow): string;
}

const equivalents = (row: TableRow): number => row.result.equivalents.mean;
const bytesAnEntry = ({ result: { holdings } }: TableRow): number =>
  holdings.bytes / holdings.entries;
const dollars = ({ dollars: { gpu, storage } }: TableRow): number => gpu + storage;
/** Breaks down a row's compute by kind of hit. */
function byHit({ result: { requests } }: TableRow): string {
  const count = requests.index.length;
  const shares = HIT_KINDS.flatMap((kind) => {
    const letter = HIT_LETTERS[kind];
    const places = [...requests.hits].flatMap((hit, place) => (hit === letter ? [place] : []));
    if (places.length === 0 || kind === 'exact') return [];
    const sum = places.reduce((total, place) => total + requests.equivalents[place]!, 0);
    const each = (sum / places.length).toFixed(2);
    return [{ sum, text: `${kind} ${percent(places.length / count)} x ${each}` }];
  });
  shares.sort((one, other) => other.sum - one.sum);
  return `of FlexCache's evaluations: ${shares.map(({ text }) => text).join(', ')}`;
}

/** Computes the share of time that no saved evaluation reduces. */
function byRest(ours: TableRow, other: TableRow): string {
  const rest = (row: TableRow): string =>
    percent(
      (timing.fixed * row.result.videos) / row.result.requests.index.length / row.service.seconds,
    );
  return `work other than denoising takes ${rest(ours)} of FlexCache's seconds and ${rest(other)} of the other's`;
}

/** Breaks down dollars into GPU and storage. */
function byDollars(ours: TableRow, other: TableRow): string {
  const ratio = (kind: keyof Dollars): string =>
    `${ours.dollars[kind].toFixed(4)} over ${other.dollars[kind].toFixed(4)}`;
  return `GPU ${ratio('gpu')}; storage and requests ${ratio('storage')}, for FlexCache mostly one object write per video`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}

const AS_DESCRIBED = 'nirvana-published-misses-euler';

const GOALS: readonly Goal[] = [
  {
    name: 'evaluations, NIRVANA as described (Euler) over FlexCache',
    ours: 'ours',
    other: AS_DESCRIBED,
    goal: 2.5,
    value: (ours, other) => equivalents(other) / equivalents(ours),
    why: byHit,
  },
  {
    name: 'evaluations, NIRVANA as described with our solver over FlexCache',
    ours: 'ours',
    other: 'nirvana-published-misses',
    goal: 1.7,
    value: (ours, other) => equivalents(other) / equivalents(ours),
    why: byHit,
  },
  {
    name: 'evaluations, NIRVANA with our solver, refitted, all stored, over FlexCache',
    ours: 'ours',
    other: 'nirvana-refitted-all',
    goal: 1.7,
    value: (ours, other) => equivalents(other) / equivalents(ours),
    why: byHit,
  },
  {
    name: 'evaluations, no cache with the best solver at its tuned N over FlexCache',
    ours: 'ours',
    other: 'none',
    goal: 2,
    value: (ours, other) => equivalents(other) / equivalents(ours),
    why: byHit,
  },
  {
    name: 'throughput, FlexCache over NIRVANA as described',
    ours: 'ours',
    other: AS_DESCRIBED,
    goal: 1.6,
    value: (ours, other) => ours.service.perHour / other.service.perHour,
    why: byRest,
  },
  {
    name: 'throughput, FlexCache over NIRVANA with our solver, refitted, all stored',
    ours: 'ours',
    other: 'nirvana-refitted-all',
    goal: 1.6,
    value: (ours, other) => ours.service.perHour / other.service.perHour,
    why: byRest,
  },
  {
    name: 'dollars, FlexCache over NIRVANA as described',
    ours: 'ours',
    other: AS_DESCRIBED,
    goal: 0.6,
    value: (ours, other) => dollars(ours) / dollars(other),
    isAtMost: true,
    why: byDollars,
  },
  {
    name: 'bytes an entry, NIRVANA as described over FlexCache',
    ours: 'ours',
    other: AS_DESCRIBED,
    goal: 60,
    value: (ours, other) => bytesAnEntry(other) / bytesAnEntry(ours),
    why: (ours, other) =>
      `${Math.round(bytesAnEntry(other)).toLocaleString('en')} over ${Math.round(bytesAnEntry(ours)).toLocaleString('en')} bytes`,
  },
  {
    name: 'evaluations at N=4, no cache over FlexCache',
    ours: 'ours-few',
    other: 'none-few',
    goal: 1.5,
    value: (ours, other) => equivalents(other) / equivalents(ours),
    why: byHit,
  },
];

/** Maximum losses of the quality goals. */
const MAX_LOSS = { adherence: 0.01, frechet: 0.05 };

function goalsTable(): string {
  const lines = GOALS.flatMap(({ name, ours, other, goal, value, why, isAtMost = false }) => {
    const measured = [rowOf(ours), rowOf(other)];
    const isByPlan = isPlanned || measured.includes(undefined);
    const [own, rival] = isByPlan ? [plannedRowOf(ours), plannedRowOf(other)] : measured;
    if (own === undefined || rival === undefined) return [];
    const reached = value(own, rival);
    const isReached = isAtMost ? reached <= goal : reached >= goal;
    return [
      [
        name,
        `${isAtMost ? 'at most' : 'at least'} ${goal}`,
        reached.toFixed(2),
        `${isReached ? 'reached' : '**missed**'}${isByPlan ? ' by plan' : ''}`,
        isReached ? '' : why(own, rival),
      ],
    ];
  });
  for (const [id, against] of [
    ['ours', 'none-50'],
    ['ours', 'none'],
    ['ours-few', 'none-few'],
  ] as const) {
    const [own, other] = [rowOf(id), rowOf(against)];
    if (own === undefined || other === undefined || isPlanned) continue;
    const loss = qualityLoss(own.result, other.result);
    if (loss === null) continue;
    const compared = `${own.result.row.label} against ${other.result.row.label}`;
    lines.push([
      `adherence loss, ${compared}`,
      'at most 1 %',
      interval(loss.adherence, 1, 100, ' %'),
      verdict(loss.adherence, MAX_LOSS.adherence),
      '',
    ]);
    if (loss.frechet === null) continue;
    lines.push([
      `FD growth, ${compared}`,
      'at most 5 %',
      interval(loss.frechet, 1, 100, ' %'),
      verdict(loss.frechet, MAX_LOSS.frechet),
      '',
    ]);
  }
  if (isPlanned) {
    const unknown = 'not measured on this trace: it has no videos';
    lines.push(['adherence loss', 'at most 1 %', '', '**open**', unknown]);
    lines.push(['FD growth', 'at most 5 %', '', '**open**', unknown]);
  }
  return markdownTable(['goal', 'target', isPlanned ? 'planned' : 'measured', '', 'why'], lines);
}

function verdict({ mean, high }: Estimate, most: number): string {
  if (mean > most) return '**missed**';
  return high > most ? 'reached by the mean, but not with 95 % confidence' : 'reached';
}

async function writeShownVideos(): Promise<void> {
  const file = join(folder, 'ours-pictures.json');
  let shown: ShownVideos;
  try {
    shown = JSON.parse(await readFile(file, 'utf8')) as ShownVideos;
  } catch {
    return;
  }
  const table = (videos: readonly ShownVideo[]): string =>
    markdownTable(
      ['', 'prompt', 'hit', 'evaluations', 'score', 'requested: seen'],
      videos.map(({ prompt, hit, evaluations, score, wrong }, index) => [
        String(index + 1),
        prompt,
        hit,
        String(evaluations),
        score.toFixed(3),
        wrong.join('; '),
      ]),
    );
  const text = `# The worst and the best

The 20 videos with the lowest and the 20 with the highest score of all that FlexCache made for the trace of
[the evaluation](../evaluation.md). The score is the judge's mean probability over the attributes that the prompt names.
Middle frames, from left to right and top to bottom. Written by \`bench/table/report.ts\`.

## The worst

![Middle frames of the 20 worst videos](ours-worst.webp)

${table(shown.worst)}

## The best

![Middle frames of the 20 best videos](ours-best.webp)

${table(shown.best)}
`;
  await writeFile(join(folder, 'worst-best.md'), text);
}

/** Replaces the text between `<!-- name:begin -->` and `<!-- name:end -->`. */
async function replaceBetweenMarkers(path: string, texts: Record<string, string>): Promise<void> {
  let content = await readFile(path, 'utf8');
  for (const [name, text] of Object.entries(texts)) {
    const [begin, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
    const from = content.indexOf(begin);
    const to = content.indexOf(end);
    if (from < 0 || to < from) throw new Error(`${path} has no ${begin} ... ${end}`);
    content = `${content.slice(0, from + begin.length)}\n\n${text}\n\n${content.slice(to)}`;
  }
  await writeFile(path, content);
}

function countHits({ requests: { hits } }: RowResult): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const hit of hits) counts[hit] = (counts[hit] ?? 0) + 1;
  return counts;
}

function interval({ mean, low, high }: Estimate, digits: number, times = 1, unit = ''): string {
  const [center, from, to] = [mean, low, high].map((value) => (value * times).toFixed(digits));
  return `${center}${unit} [${from}, ${to}]`;
}

function milliseconds(seconds: number): string {
  return seconds >= 1 ? `${seconds.toFixed(2)} s` : `${(1000 * seconds).toFixed(1)} ms`;
}

/** Formats a Markdown table with prettier's padding. */
function markdownTable(head: readonly string[], body: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(3, title.length, ...body.map((row) => row[column]!.length)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join(' | ')} |`;
  const rule = widths.map((width, column) =>
    column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  );
  return [line(head), `| ${rule.join(' | ')} |`, ...body.map(line)].join('\n');
}

await mkdir(join(docs, 'figures'), { recursive: true });
const isJudged = rows.some(({ loss }) => loss !== null);
if (isJudged) {
  await writeFile(join(docs, 'figures', 'evaluations-quality.svg'), qualityCurve(rows));
}
await writeFile(join(docs, 'figures', 'evaluations-bytes.svg'), bytesCurve(rows));
await writeFile(join(docs, 'figures', 'hits-over-time.svg'), hitsCurve([...results.values()]));
if (!flags['without-simulation']) {
  const requests = (rowOf('ours') ?? rows[0]!).result.requests.index.length;
  const { seed } = rows[0]!.result;
  await writeFile(
    join(docs, 'figures', 'cost-cache-size.svg'),
    await costCurve({ requests, seed, model: flags.model }),
  );
}
await writeShownVideos();
await replaceBetweenMarkers(join(docs, 'evaluation.md'), {
  conditions: conditions(),
  quality: isJudged ? `${qualityTable(rows)}\n\n${QUALITY_FIGURE}` : qualityTable(rows),
  summary: summary(),
  made: madeSection(),
  cost: costTable(),
  goals: goalsTable(),
});
