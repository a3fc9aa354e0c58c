import { parse } from 'csv-parse/sync';
import { describe, expect, test } from 'vitest';
import type { Job } from '#core/generation.ts';
import { executionName, randomVideoId } from '#core/requests/identity.ts';
import { parseUsd } from '#core/pricing/money.ts';
import { bookOn, priceBookOf } from '#core/pricing/prices.ts';
import { makeReport } from '#core/reports/report.ts';
import { createReportHandler } from '#functions/report/handler.ts';
import { writeDay } from '#functions/report/write-day.ts';
import type { ReapServices } from '#functions/report/reap-jobs.ts';
import type { EndedExecution } from '#functions/shared/states.ts';
import { SILENT_TELEMETRY } from '#functions/shared/telemetry.ts';
import {
  measured,
  questionOf,
  sourcesOf,
  worked,
  type SampleSources,
} from '../core/reports/sample-sources.ts';
import type { WorkflowLooker } from '#ports/workflow.ts';
import { sampleJob } from '../aws/samples.ts';

const NOW = Date.parse('2026-11-23T02:00:00Z');
const BOOK = priceBookOf('us-east-1');

/** Objects in memory, the last that was put under each key. */
function bucket() {
  const objects = new Map<string, string>();
  return {
    objects,
    put: async (key: string, body: Uint8Array) => {
      objects.set(key, Buffer.from(body).toString('utf8'));
      return { key, bytes: body.byteLength, sha256: '', modifiedAt: NOW };
    },
  };
}

function video(day: string, gpuSeconds: number) {
  return sampleJob({
    createdAt: `${day}T12:00:00.000Z`,
    status: 'completed',
    usage: [worked(gpuSeconds)],
  });
}

function handlerOf(
  sample: SampleSources,
  stateOf: WorkflowLooker['stateOf'] = async () => 'running',
) {
  const { objects, put } = bucket();
  const sources = sourcesOf(sample);
  const failed: EndedExecution[] = [];
  const reaping: ReapServices = {
    jobsOf: sources.jobs,
    workflow: { stateOf },
    fail: async (ended) => void failed.push(ended),
  };
  const stores = { sources, objects: { put }, book: BOOK, reaping };
  return {
    objects,
    stores,
    failed,
    handle: createReportHandler(stores, SILENT_TELEMETRY, () => NOW),
  };
}

function sumOf(csv: string, column: string): bigint {
  const rows = parse(csv, { columns: true, record_delimiter: '\r\n' }) as Record<string, string>[];
  return rows.reduce(
    (sum, row) => (row[column] === '' ? sum : sum + parseUsd(row[column], column)),
    0n,
  );
}

describe('a job whose end was lost', () => {
  const job = (status: Job['status'], createdAt: string, attempt = 1) =>
    sampleJob({ videoId: randomVideoId(), status, createdAt, attempt });
  const OLD = '2026-11-16T12:00:00.000Z';
  const NEW = '2026-11-23T01:30:00.000Z';

  test.each([
    ['its execution is over', 'running', OLD, 1, 'over', true],
    ['its execution never began', 'queued', OLD, 1, 'absent', true],
    ['its execution runs', 'running', OLD, 1, 'running', false],
    ['it has ended', 'completed', OLD, 1, 'over', false],
    ['it is new', 'queued', NEW, 1, 'absent', false],
    ['another attempt is about to begin', 'queued', OLD, 2, 'absent', false],
  ] as const)('is ended, or left: %s', async (_, status, at, attempt, state, isEnded) => {
    const lost = job(status, at, attempt);
    const { failed, handle } = handlerOf({ jobs: [lost] }, async () => state);

    await handle({});

    const execution = executionName(lost.videoId, attempt);
    expect(failed.map((ended) => ended.execution)).toEqual(isEnded ? [execution] : []);
  });

  test('is left alone while days are written again by hand', async () => {
    const { failed, handle } = handlerOf({ jobs: [job('running', OLD)] }, async () => 'over');

    await handle({ from: '2026-11-20' });

    expect(failed).toEqual([]);
  });
});

describe('the report function', () => {
  test('writes the three days before today, one object each', async () => {
    const days = ['2026-11-19', '2026-11-20', '2026-11-21', '2026-11-22', '2026-11-23'];
    const { objects, handle } = handlerOf({ jobs: days.map((day) => video(day, 100)) });

    const written = await handle({});

    expect([...objects.keys()]).toEqual([
      'reports/2026-11-20.csv',
      'reports/2026-11-21.csv',
      'reports/2026-11-22.csv',
    ]);
    expect(written.map(({ day }) => day)).toEqual(days.slice(1, 4));
    for (const csv of objects.values()) expect(csv.trimEnd().split('\r\n')).toHaveLength(2);
  });

  test('adds up to the report of the day, idle machines and storage included', async () => {
    const sample: SampleSources = {
      jobs: [video('2026-11-22', 123.456), video('2026-11-22', 7)],
      runs: [measured('2026-11-20T00:00:00.000Z', { videoBytes: 2 ** 33 })],
      tails: [
        { day: '2026-11-22', instanceType: 'g6.xlarge', purchaseOption: 'spot', seconds: 99 },
      ],
    };
    const { objects, stores } = handlerOf(sample);

    await writeDay(stores, '2026-11-22', NOW);

    const range = { from: '2026-11-22', to: '2026-11-22' };
    const bookOf = (day: string) => bookOn(BOOK, day);
    const report = await makeReport(stores.sources, questionOf({ range, bookOf, now: NOW }));
    const csv = objects.get('reports/2026-11-22.csv')!;
    expect(sumOf(csv, 'all_usd')).toBe(report.all);
    expect(sumOf(csv, 'total_usd')).toBe(report.videos.total);
    expect(report.storage).toBeGreaterThan(0n);
    expect(report.tails).toBeGreaterThan(0n);
  });

  test('written again a day has what came later in the place of what was there', async () => {
    const jobs = [video('2026-11-22', 100)];
    const { objects, handle } = handlerOf({ jobs });

    await handle({});
    const first = objects.get('reports/2026-11-22.csv')!;
    await handle({});
    const same = objects.get('reports/2026-11-22.csv')!;
    jobs.push(video('2026-11-22', 50));
    await handle({});

    expect(same).toBe(first);
    expect(sumOf(objects.get('reports/2026-11-22.csv')!, 'total_usd')).toBe(
      (sumOf(first, 'total_usd') * 3n) / 2n,
    );
  });

  test('a day with very many videos is written in parts, each with the header', async () => {
    const { objects, stores } = handlerOf({
      jobs: Array.from({ length: 25 }, () => video('2026-11-22', 10)),
    });

    const { keys } = await writeDay(stores, '2026-11-22', NOW, 10);

    expect(keys).toEqual([
      'reports/2026-11-22.csv',
      'reports/2026-11-22.2.csv',
      'reports/2026-11-22.3.csv',
    ]);
    const parts = keys.map((key) => objects.get(key)!.trimEnd().split('\r\n'));
    expect(parts.map(({ length }) => length)).toEqual([11, 11, 6]);
    expect(new Set(parts.map(([header]) => header)).size).toBe(1);
    expect(new Set(parts.flatMap((lines) => lines.slice(1))).size).toBe(25);
  });

  test.each([
    [{ from: '2026-11-01', to: '2026-11-02' }, ['2026-11-01', '2026-11-02']],
    [{ from: '2026-11-05' }, ['2026-11-05']],
    [{ to: '2026-11-06' }, ['2026-11-06']],
  ])('by hand %j writes those days', async (event, days) => {
    const { handle } = handlerOf({});

    expect((await handle(event)).map(({ day }) => day)).toEqual(days);
  });

  test.each([
    [{ from: '2026-11-31' }, 'from'],
    [{ to: '2027-01-01' }, 'future'],
    [{ from: 5 }, 'from "5"'],
  ])('%j is refused by name, and nothing is written', async (event, named) => {
    const { objects, handle } = handlerOf({});

    await expect(handle(event)).rejects.toThrow(named);
    expect(objects.size).toBe(0);
  });
});
