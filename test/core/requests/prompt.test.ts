import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidInputError } from '#core/errors.ts';
import {
  MAX_PROMPT_CHARACTERS,
  normalisePrompt,
  promptForKeys,
  validatePrompt,
} from '#core/requests/prompt.ts';
import { codeOf } from '../code-of.ts';

describe('normalisePrompt', () => {
  it('folds compatibility characters, controls and white space', () => {
    expect(normalisePrompt('  a\t\u0000red\u3000 ｂａｌｌ \n')).toBe('a red ball');
  });

  it('replaces a lone surrogate, which has no UTF-8', () => {
    expect(normalisePrompt('a \ud800 ball')).toBe('a \ufffd ball');
  });

  it('changes nothing the second time', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (prompt) => {
        const once = normalisePrompt(prompt);
        expect(normalisePrompt(once)).toBe(once);
      }),
    );
  });
});

describe('promptForKeys', () => {
  it('ignores case and spacing', () => {
    expect(promptForKeys(' A Red  BALL')).toBe(promptForKeys('a red ball'));
  });

  it('changes nothing the second time', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (prompt) => {
        const once = promptForKeys(prompt);
        expect(promptForKeys(once)).toBe(once);
      }),
    );
  });
});

describe('validatePrompt', () => {
  it('keeps the case of what is stored', () => {
    expect(validatePrompt('  A Red Ball ')).toBe('A Red Ball');
  });

  it.each([
    ['', 'prompt_empty'],
    [' \n\t ', 'prompt_empty'],
    ['🎈🎈', 'prompt_without_words'],
    ['?!', 'prompt_without_words'],
    [undefined, 'invalid_input'],
    [7, 'invalid_input'],
    ['a \u001b[31mred ball', 'invalid_input'],
    ['a ball\u0000', 'invalid_input'],
    ['a \ud83c ball', 'invalid_input'],
  ])('refuses %j with %s', (prompt, code) => {
    expect(codeOf(() => validatePrompt(prompt))).toBe(code);
  });

  it.each(['红色的球', 'красный мяч', 'ボール', '٣'])('takes words of any script: %s', (prompt) => {
    expect(validatePrompt(prompt)).toBe(prompt);
  });

  it('takes the longest prompt and refuses one character more', () => {
    const longest = 'x'.repeat(MAX_PROMPT_CHARACTERS);
    expect(validatePrompt(longest)).toBe(longest);
    expect(codeOf(() => validatePrompt(`${longest}x`))).toBe('prompt_too_long');
  });

  it('counts characters, not UTF-16 units', () => {
    const prompt = `ball ${'🎈'.repeat(MAX_PROMPT_CHARACTERS - 5)}`;
    expect(validatePrompt(prompt)).toBe(prompt);
  });

  it('refuses a prompt of megabytes as too long', () => {
    expect(codeOf(() => validatePrompt('x'.repeat(5_000_000)))).toBe('prompt_too_long');
  });

  it('names the field and the fix', () => {
    try {
      validatePrompt('');
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(InvalidInputError);
      expect(error).toMatchObject({ field: 'prompt', fix: 'describe the video in a few words' });
    }
  });
});
