import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { loadManifest } from '#models/manifest.ts';
import { ParserPromptSplitter } from '#models/parser-prompt-splitter.ts';
import { openPromptModels } from '#models/prompt-models.ts';
import { PromptTokenizer } from '#models/tokenizer.ts';
import { LABELLED_SENTENCES } from './labelled-sentences.ts';

/**
 * The prompt splitter by itself, on sentences that are not built as the captions of its training: which
 * share of the words that belong to the object or the background it puts there.
 *
 *     node bench/splitter.ts [--model DIR] [--parser] [--all]
 *
 * `--parser` splits by the parser that packages without a splitter of their own have.
 * `--all` shows the sentences that are split right, too.
 */

const { values: flags } = parseArgs({
  options: {
    model: { type: 'string', default: 'containers/demo-model/package' },
    parser: { type: 'boolean', default: false },
    all: { type: 'boolean', default: false },
  },
});

const modelPackage = await loadManifest(flags.model);
const models = await openPromptModels(modelPackage, { inThread: false });
const splitter = flags.parser
  ? new ParserPromptSplitter(await PromptTokenizer.open(modelPackage))
  : models.splitter;

const sums = new Table({ head: ['kind', 'sentences', 'words', 'right', 'share'] });
let [allRight, allWords] = [0, 0];
for (const [kind, sentences] of Object.entries(LABELLED_SENTENCES)) {
  let [right, words] = [0, 0];
  for (const marked of sentences) {
    const counts = await check(marked);
    right += counts.right;
    words += counts.words;
  }
  sums.push([kind, sentences.length, words, right, percent(right / words)]);
  allRight += right;
  allWords += words;
}
sums.push(['all', '', allWords, allRight, percent(allRight / allWords)]);
console.log(sums.toString());
await models.embedder.close();

async function check(marked: string): Promise<{ right: number; words: number }> {
  const words = marked.split(' ').map((word) => {
    const [, text = word, part, mark = ''] = /^(.+)\/([ob])(\p{P}*)$/u.exec(word) ?? [];
    return { text: text + mark, part: part as 'o' | 'b' | undefined };
  });
  const prompt = words.map(({ text }) => text).join(' ');
  const { objectPhrase, backgroundPhrase } = await splitter.split(prompt);
  const found = { o: countsOf(objectPhrase), b: countsOf(backgroundPhrase) };
  const missed: string[] = [];
  let total = 0;
  for (const { text, part } of words) {
    if (part === undefined) continue;
    total += 1;
    const word = bare(text);
    const left = found[part].get(word) ?? 0;
    if (left === 0) missed.push(text);
    else found[part].set(word, left - 1);
  }
  if (flags.all || missed.length > 0) {
    console.log(`${prompt}\n   ${objectPhrase} | ${backgroundPhrase}   wrong: ${missed.join(' ')}`);
  }
  return { right: total - missed.length, words: total };
}

function countsOf(phrase: string | null): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of (phrase ?? '').split(' ').map(bare)) {
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return counts;
}

function bare(word: string): string {
  return word.replaceAll(/^\p{P}+|\p{P}+$/gu, '');
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
