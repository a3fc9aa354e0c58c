import { addDays, dayAt } from '#core/day.ts';
import { dayRange, daysOf, type DayRange } from '#core/reports/day-range.ts';
import { reportSources } from '#aws/report-sources.ts';
import { SfnWorkflowStarter } from '#aws/sfn-workflow.ts';
import { eventCaller } from '../shared/call-function.ts';
import { deployedPrices } from '../shared/deployed-prices.ts';
import { deployedTelemetry } from '../shared/deployed-telemetry.ts';
import { ENVIRONMENT } from '../shared/environment.ts';
import { deployedObjects, deployedTable, lazily, variable } from '../shared/services.ts';
import { traced, type Telemetry } from '../shared/telemetry.ts';
import { reapJobs, type ReapServices } from './reap-jobs.ts';
import { writeDay, type ReportStores, type WrittenDay } from './write-day.ts';

/** Input: empty from the schedule, or days to rewrite. */
export interface ReportEvent {
  from?: unknown;
  to?: unknown;
}

/** Days that each run writes: a video belongs to the day of its request and may end days later. */
const DAYS_WRITTEN = 3;

export interface ReportServices extends ReportStores {
  reaping: ReapServices;
}

/**
 * Writes the reports of the given days; default: the last three days before today. Rewriting a day replaces its
 * report. A default run first fails jobs whose end was lost, so that its report has no open jobs.
 *
 * @throws InvalidInputError when `from` or `to` is not a day or is in the future.
 */
export function createReportHandler(
  services: ReportServices,
  telemetry: Telemetry,
  now: () => number = Date.now,
): (event: ReportEvent) => Promise<WrittenDay[]> {
  return traced('report', async (event) => {
    if (event.from === undefined && event.to === undefined) {
      const reaped = await reapJobs(services.reaping, now());
      if (reaped > 0) {
        telemetry.log({ level: 'error', event: 'jobs_reaped', reaped });
        telemetry.measure({ deadLetters: reaped }, {});
      }
    }
    const written: WrittenDay[] = [];
    for (const day of daysOf(daysAsked(event, now()))) {
      const result = await writeDay(services, day, now());
      telemetry.log({ level: 'info', event: 'report_written', ...result });
      written.push(result);
    }
    return written;
  });
}

function daysAsked({ from, to }: ReportEvent, now: number): DayRange {
  const yesterday = addDays(dayAt(now), -1);
  const asked: Partial<DayRange> = {
    ...(from !== undefined && { from: String(from) }),
    ...(to !== undefined && { to: String(to) }),
  };
  if (asked.from === undefined && asked.to === undefined) {
    return { from: addDays(yesterday, 1 - DAYS_WRITTEN), to: yesterday };
  }
  return dayRange({ from: asked.from ?? asked.to!, to: asked.to ?? asked.from! }, now);
}

const run = lazily(async () => {
  const table = deployedTable();
  return createReportHandler(
    {
      sources: reportSources({ tableName: variable(ENVIRONMENT.tableName) }),
      objects: deployedObjects(),
      book: deployedPrices(),
      reaping: {
        jobsOf: (day) => table.listDay(day),
        workflow: new SfnWorkflowStarter({ stateMachineArn: variable(ENVIRONMENT.generateArn) }),
        fail: eventCaller(variable(ENVIRONMENT.failFunction)),
      },
    },
    deployedTelemetry(),
  );
});

/** Ignores other fields of the event. */
export function handler(event: ReportEvent | null): Promise<WrittenDay[]> {
  const { from, to } = event ?? {};
  return run({ ...(from !== undefined && { from }), ...(to !== undefined && { to }) });
}
