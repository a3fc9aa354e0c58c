import { rentToLru, RETURNING_PROMPTS } from './returning-prompts.ts';

/**
 * Prints what the rent policy costs by what LRU costs where prompts come again after days: LRU needs to
 * know nothing for that, rent has to learn it. A table of docs/policy.md.
 *
 * Run: node bench/slow-returns.ts
 */
console.log('| prompts | entries | rent to LRU |');
console.log('| --- | --: | --: |');
for (const prompts of RETURNING_PROMPTS) {
  const holds = prompts.isEnoughForLru ? 'LRU holds them' : 'too few for LRU';
  const ratio = await rentToLru(prompts);
  console.log(`| ${prompts.name}; ${holds} | ${prompts.entries} | ${ratio.toFixed(2)} |`);
}
