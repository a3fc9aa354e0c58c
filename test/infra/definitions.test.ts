import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  definitionFile,
  MACHINES,
  resolveIntrinsics,
  synthesizeDefinitions,
} from '#infra/definitions.ts';
import { REPOSITORY_ROOT } from '#infra/repository-root.ts';

describe('the checked-in definitions', () => {
  it.each(MACHINES)(
    '%s is what the stack synthesizes; npm run build:definition writes it anew',
    (machine) => {
      // Prepare
      const path = resolve(REPOSITORY_ROOT, definitionFile(machine));

      // Act
      const checkedIn: unknown = JSON.parse(readFileSync(path, 'utf8'));

      // Assess
      expect(checkedIn).toEqual(synthesizeDefinitions()[machine]);
    },
  );
});

describe('resolving a template', () => {
  it('joins what is nested', () => {
    // Prepare
    const value = {
      'Fn::Join': ['', ['a:', { Ref: 'AWS::Partition' }, ':', { 'Fn::GetAtt': ['F', 'Arn'] }]],
    };

    // Assess
    expect(resolveIntrinsics(value)).toBe('a:aws:arn:aws:lambda:us-east-1:000000000000:function:F');
  });

  it('refuses what it has no example for', () => {
    // Assess
    expect(() => resolveIntrinsics({ Ref: 'SomeParameter' })).toThrow('"SomeParameter"');
  });
});
