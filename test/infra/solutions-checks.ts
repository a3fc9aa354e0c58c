import type { App, IPolicyValidationContext, IPolicyValidationPlugin } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { ACKNOWLEDGED_FINDINGS, type AcknowledgedFinding } from '#infra/cdk-nag-suppressions.ts';

/** The AWS Solutions rules, but for what is acknowledged. */
export class SolutionsChecks implements IPolicyValidationPlugin {
  readonly name = 'AwsSolutions';
  /** `rule at path` of what is not acknowledged. */
  readonly findings: string[] = [];
  readonly acknowledged = new Set<AcknowledgedFinding>();
  readonly #checks: AwsSolutionsChecks;

  constructor(app: App) {
    this.#checks = new AwsSolutionsChecks(app);
  }

  validate(context: IPolicyValidationContext) {
    const report = this.#checks.validate(context);
    for (const { ruleName, violatingResources } of report.violations) {
      for (const { constructPath = '' } of violatingResources as { constructPath?: string }[]) {
        const acknowledgement = ACKNOWLEDGED_FINDINGS.find(
          ({ finding, path }) => finding.test(ruleName) && path.test(constructPath),
        );
        if (acknowledgement === undefined) this.findings.push(`${ruleName} at ${constructPath}`);
        else this.acknowledged.add(acknowledgement);
      }
    }
    return { success: true, violations: [] };
  }
}
