import { Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { collect } from '#cli/collect.ts';
import { readCsv } from '#readers/read-csv.ts';
import { readJsonl } from '#readers/read-jsonl.ts';
import { readText } from '#readers/read-text.ts';
import { MAX_LINE_BYTES, REQUEST_FIELDS } from '#readers/request-line.ts';
import type { ReadLine } from '#readers/request-line.ts';

function streamOf(content: string | Buffer, chunkBytes = 7): Readable {
  const bytes = Buffer.from(content);
  const chunks: Buffer[] = [];
  for (let start = 0; start < bytes.length; start += chunkBytes) {
    chunks.push(bytes.subarray(start, start + chunkBytes));
  }
  return Readable.from(chunks);
}

function brief(lines: readonly ReadLine[]): string[] {
  return lines.map((read) =>
    'error' in read ? `${read.line} ${read.error.code}` : `${read.line} ${read.request.prompt}`,
  );
}

describe('a text file', () => {
  test('gives a prompt a line and skips blank lines and comments', async () => {
    const source = streamOf('# mine\na ball\n\n   \n  a star  \n#a cross\na ring');

    const lines = await collect(readText(source));

    expect(brief(lines)).toEqual(['2 a ball', '5 a star', '7 a ring']);
  });

  test('is read alike with a byte order mark and with CRLF, in chunks of any size', async () => {
    for (const chunkBytes of [1, 2, 3, 1000]) {
      const source = streamOf('\uFEFFein grüner Ball\r\nein Stern\r\n', chunkBytes);

      const lines = await collect(readText(source));

      expect(brief(lines)).toEqual(['1 ein grüner Ball', '2 ein Stern']);
    }
  });

  test('with a huge line reports that line and reads on, holding little of it', async () => {
    const huge = Buffer.alloc(50 * MAX_LINE_BYTES, 'x');
    const source = streamOf(Buffer.concat([Buffer.from('a\n'), huge, Buffer.from('\nb\n')]), 4096);

    const lines = await collect(readText(source));

    expect(brief(lines)).toEqual(['1 a', '2 prompt_too_long', '3 b']);
    expect(JSON.stringify(lines).length).toBeLessThan(2000);
  });

  test('takes a line of just the limit for what it is', async () => {
    const source = streamOf(`${'x'.repeat(MAX_LINE_BYTES)}\nb`, 4096);

    const lines = await collect(readText(source));

    expect(lines[0]).toMatchObject({ line: 1, error: { message: expect.stringMatching(/2000/) } });
    expect(brief(lines)[1]).toBe('2 b');
  });

  test('reports a line that is not UTF-8 and a line without words', async () => {
    const source = streamOf(Buffer.from([0x61, 0x0a, 0xff, 0xfe, 0x0a, 0x21, 0x0a, 0x62]));

    const lines = await collect(readText(source));

    expect(brief(lines)).toEqual(['1 a', '2 invalid_input', '3 prompt_without_words', '4 b']);
  });
});

describe('a JSON lines file', () => {
  test('gives prompt, seed, cache and steps', async () => {
    const source = streamOf('{"prompt":"a","seed":7,"cache":"off","steps":4}\n\n{"prompt":"b"}');

    const lines = await collect(readJsonl(source));

    expect(lines).toEqual([
      { line: 1, request: { prompt: 'a', seed: 7, cache: 'off', steps: 4 } },
      { line: 3, request: { prompt: 'b' } },
    ]);
  });

  test.each([
    ['{"prompt": "a"', 'line', 'invalid_input'],
    ['["a"]', 'line', 'invalid_input'],
    ['null', 'line', 'invalid_input'],
    ['{"seed": 1}', 'prompt', 'invalid_input'],
    ['{"prompt": 5}', 'prompt', 'invalid_input'],
    ['{"prompt": "  "}', 'prompt', 'prompt_empty'],
    [`{"prompt": "${'a'.repeat(2001)}"}`, 'prompt', 'prompt_too_long'],
    ['{"prompt": "a", "seed": -1}', 'seed', 'invalid_input'],
    ['{"prompt": "a", "seed": 1.5}', 'seed', 'invalid_input'],
    ['{"prompt": "a", "seed": 4294967296}', 'seed', 'invalid_input'],
    ['{"prompt": "a", "seed": "x"}', 'seed', 'invalid_input'],
    ['{"prompt": "a", "cache": "always"}', 'cache', 'invalid_input'],
    ['{"prompt": "a", "steps": 0}', 'steps', 'invalid_input'],
    ['{"prompt": "a", "guidance_scale": 0.5}', 'guidance_scale', 'invalid_input'],
    ['{"prompt": "a", "guidance_scale": "much"}', 'guidance_scale', 'invalid_input'],
    ['{"prompt": "a", "negative_prompt": 5}', 'negative_prompt', 'invalid_input'],
    ['{"prompt": "a", "num_frames": "many"}', 'num_frames', 'invalid_input'],
    ['{"prompt": "a", "seed": 1, "seed": 2}', 'seed', 'invalid_input'],
    ['{"prompt": "a", "__proto__": {"seed": 1}}', '__proto__', 'invalid_input'],
    ['{"promt": "a"}', 'promt', 'invalid_input'],
  ])('reports the bad line %s and reads on', async (bad, field, code) => {
    const source = streamOf(`{"prompt":"a"}\n${bad}\n{"prompt":"b"}\n`);

    const lines = await collect(readJsonl(source));

    expect(brief(lines)).toEqual(['1 a', `2 ${code}`, '3 b']);
    expect(lines[1]).toMatchObject({ error: { field } });
  });
});

describe('a CSV file', () => {
  test('is read by its header, in any order and case', async () => {
    const source = streamOf('\uFEFFSeed, Prompt \r\n7,"a, ""b"""\r\n,c\r\n');

    const lines = await collect(readCsv(source));

    expect(lines).toEqual([
      { line: 2, request: { prompt: 'a, "b"', seed: 7 } },
      { line: 3, request: { prompt: 'c' } },
    ]);
  });

  test('gives what of the package its rows choose', async () => {
    const source = streamOf(
      'prompt,negative_prompt,guidance_scale,size,num_frames,fps,n\na,"b, c",4.5,384x384,16,8,1\nd,,,,,,\n',
    );

    const lines = await collect(readCsv(source));

    expect(lines).toEqual([
      {
        line: 2,
        request: {
          prompt: 'a',
          negative_prompt: 'b, c',
          guidance_scale: 4.5,
          size: '384x384',
          num_frames: 16,
          fps: 8,
          n: 1,
        },
      },
      { line: 3, request: { prompt: 'd' } },
    ]);
  });

  test.each([
    ['"open,1', 'line'],
    ['a, moving left,1', 'line'],
    [',1', 'prompt'],
    ['a,1e3', 'seed'],
  ])('reports the bad row %s and reads on', async (bad, field) => {
    const source = streamOf(`prompt,seed\na,1\n${bad}\nb,2\n`);

    const lines = await collect(readCsv(source));

    expect(lines.map(({ line }) => line)).toEqual([2, 3, 4]);
    expect(lines[1]).toMatchObject({ error: { field } });
    expect(lines[2]).toEqual({ line: 4, request: { prompt: 'b', seed: 2 } });
  });

  test.each([
    ['prompt,seed,Prompt', 'prompt', /"prompt" is given twice/],
    ['prompt,seed,seed', 'seed', /"seed" is given twice/],
    ['prompt,', '', /a column has no name/],
  ])('with the header %s is refused as a whole', async (header, field, message) => {
    const reading = collect(readCsv(streamOf(`${header}\na,1,2\n`)));

    await expect(reading).rejects.toMatchObject({ code: 'invalid_input', field, message });
  });

  test('without a prompt column is refused as a whole', async () => {
    const source = streamOf('a red ball\na blue ball\n');

    const reading = collect(readCsv(source));

    await expect(reading).rejects.toMatchObject({ code: 'invalid_input', field: 'file' });
  });
});

describe('a name that no field has', () => {
  const isUnknown = (name: string): boolean =>
    !(REQUEST_FIELDS as readonly string[]).includes(name);
  /** A known name with one slip. */
  const misspelt = fc
    .record({
      name: fc.constantFrom(...REQUEST_FIELDS.filter((field) => field.length > 1)),
      at: fc.nat(5),
      slip: fc.constantFrom('insert', 'leave out', 'replace', 'swap'),
      letter: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz'),
    })
    .map(({ name, at, slip, letter }) => {
      const place = at % (name.length - 1);
      const [head, here, next, tail] = [
        name.slice(0, place),
        name[place]!,
        name[place + 1]!,
        name.slice(place + 2),
      ];
      const after = { insert: here + letter + next, 'leave out': next, replace: letter + next };
      return { name, given: head + (slip === 'swap' ? next + here : after[slip]) + tail };
    })
    .filter(({ given }) => isUnknown(given));

  test('is reported by itself, with its line and the near name, and the other lines are read', async () => {
    await fc.assert(
      fc.asyncProperty(misspelt, fc.anything(), async ({ name, given }, value) => {
        const wrong = JSON.stringify({ prompt: 'a', [given]: value ?? null });
        fc.pre(wrong !== '{"prompt":"a"}');

        const lines = await collect(
          readJsonl(streamOf(`{"prompt":"a"}\n${wrong}\n{"prompt":"b"}`)),
        );

        expect(brief(lines)).toEqual(['1 a', '2 invalid_input', '3 b']);
        expect(lines[1]).toMatchObject({
          error: { field: given, message: expect.stringContaining(`"${given}"`) },
        });
        expect(lines[1]).toMatchObject({ error: { fix: expect.stringContaining(`"${name}"`) } });
        await expect(collect(readCsv(streamOf(`prompt,${given}\na,1\n`)))).rejects.toMatchObject({
          field: given,
          fix: expect.stringContaining(`"${name}"`),
        });
      }),
      { numRuns: 200 },
    );
  });

  test('is reported whatever it is', async () => {
    const names = fc.string({ unit: 'binary', maxLength: 30 }).filter(isUnknown);
    await fc.assert(
      fc.asyncProperty(names, async (name) => {
        const line = `{"prompt":"a",${JSON.stringify(name)}:{"seed":["}"]}}`;

        const lines = await collect(readJsonl(streamOf(line)));

        expect(lines).toMatchObject([{ line: 1, error: { field: name } }]);
      }),
      { numRuns: 200 },
    );
  });
});
