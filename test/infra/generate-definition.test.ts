import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  GENERATE_DEFINITION_FILE,
  resolveIntrinsics,
  synthesizeGenerateDefinition,
} from '#infra/generate-definition.ts';
import { REPOSITORY_ROOT } from '#infra/repository-root.ts';

describe('the checked-in definition', () => {
  it('is what the stack synthesizes; npm run build:definition writes it anew', () => {
    // Prepare
    const path = resolve(REPOSITORY_ROOT, GENERATE_DEFINITION_FILE);

    // Act
    const checkedIn: unknown = JSON.parse(readFileSync(path, 'utf8'));

    // Assess
    expect(checkedIn).toEqual(synthesizeGenerateDefinition());
  });
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
