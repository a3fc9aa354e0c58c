import Table from 'cli-table3';
import type { LineOutcome } from './run-batch.ts';

const PROMPT_CHARACTERS = 46;
const ID_CHARACTERS = 10;

/** Keeps a batch of any length from filling the memory and the terminal. */
export const SHOWN_OUTCOMES = 500;

/** Counts and means over a batch; the table's last lines. */
export class BatchTotals {
  completed = 0;
  alreadyThere = 0;
  failed = 0;
  stepsRun = 0;
  fullSteps = 0;
  seconds = 0;
  readonly #hits = new Map<string, number>();

  add(outcome: LineOutcome): void {
    const { report } = outcome;
    if (report.status !== 'completed') {
      this.failed += 1;
      return;
    }
    this.completed += 1;
    if (outcome.alreadyThere) this.alreadyThere += 1;
    this.stepsRun += report.steps.run;
    this.fullSteps += report.steps.full;
    this.seconds += report.seconds.total;
    this.#hits.set(report.cache.hit, (this.#hits.get(report.cache.hit) ?? 0) + 1);
  }

  toString(): string {
    const hits = [...this.#hits].map(([hit, count]) => `${count} ${hit}`).join(', ');
    const mean = this.completed === 0 ? 0 : this.seconds / this.completed;
    return [
      `videos  ${this.completed} completed (${this.alreadyThere} already there), ${this.failed} failed`,
      `hits    ${hits || 'none'}`,
      `steps   ${this.stepsRun} run of ${this.fullSteps} for full generations`,
      `seconds ${this.seconds.toFixed(1)} in all, ${mean.toFixed(2)} a video`,
      '',
    ].join('\n');
  }
}

/** One row a line of the file; donors are named by their line where this batch made them. */
export function summaryTable(outcomes: readonly LineOutcome[]): string {
  const table = new Table({
    head: ['line', 'prompt', 'hit', 'donors', 't0', 'steps', 'seconds'],
    style: { head: [], border: [], compact: true },
    colAligns: ['right', 'left', 'left', 'left', 'right', 'right', 'right'],
  });
  const lines = linesById(outcomes);
  const ordered = [...outcomes].sort((one, other) => one.line - other.line);
  for (const { line, report, alreadyThere } of ordered) {
    if (report.status !== 'completed') {
      table.push([line, shorten(report.prompt), report.status, report.error.code, '', '', '']);
      continue;
    }
    const { cache, steps, seconds } = report;
    table.push([
      line,
      shorten(report.prompt),
      alreadyThere ? `${cache.hit} (already there)` : cache.hit,
      cache.donors
        .map(
          (donor) => `${donor.part} ${donorName(donor.id, lines)} ${donor.similarity.toFixed(2)}`,
        )
        .join('\n'),
      cache.t0.toFixed(2),
      `${steps.run}/${steps.full}`,
      seconds.total.toFixed(2),
    ]);
  }
  return `${table.toString()}\n`;
}

/** Which line made which video. */
export function linesById(outcomes: readonly LineOutcome[]): Map<string, number> {
  return new Map(outcomes.flatMap(({ line, report }) => (report.id ? [[report.id, line]] : [])));
}

function donorName(id: string, lines: ReadonlyMap<string, number>): string {
  const line = lines.get(id);
  return line === undefined ? `${id.slice(0, ID_CHARACTERS)}…` : `of line ${line}`;
}

function shorten(text: string): string {
  const characters = [...text.replaceAll(/\s+/g, ' ')];
  return characters.length <= PROMPT_CHARACTERS
    ? characters.join('')
    : `${characters.slice(0, PROMPT_CHARACTERS - 1).join('')}…`;
}
