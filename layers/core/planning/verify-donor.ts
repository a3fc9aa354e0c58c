import type { Calibration } from './calibration.ts';
import {
  PARTS,
  type Entry,
  type LookupPart,
  type Part,
  type PromptEmbedding,
  type PromptReading,
} from '../generation.ts';
import { mayLendPart, mayMeanTheSame, type ReadPrompt } from './prompt-agreement.ts';
import { compareShown, type JudgedAttribute, type ShownAgreement } from './shown-attributes.ts';
import { cosine } from '../cosine.ts';
import { spokenWords } from '../requests/prompt-segments.ts';

/**
 * Least cosine of what two prompts say of a part, both as texts, for other words of the same meaning.
 * On the demo package 459 pairs of captions of one clip have at least 0.943, 1,041 pairs of clips that
 * differ in one attribute at most 0.830.
 */
export const SAME_MEANING_SIMILARITY = 0.93;

/** What the vectors of entries and requests tell. */
export interface VectorTraits {
  /**
   * What those of an entry describe: its video and the video's parts, its video as a whole, or the prompt that it
   * was made for.
   */
  readonly describe: 'parts' | 'video' | 'prompt';
  /** Whether other words for the same have like vectors; else prompts of other words are never the same. */
  readonly knowsMeaning: boolean;
  /** Whether latents are told into object and background; else wholes alone are reused. */
  readonly separatesParts: boolean;
}

/** Of a package that brings every network. */
const ALL_TRAITS: VectorTraits = {
  describe: 'parts',
  knowsMeaning: true,
  separatesParts: true,
};

/** What is asked for. */
export interface Question {
  prompt: string;
  embedding: PromptEmbedding;
  /** The package's thresholds for the cosine of a prompt's part and an entry's. */
  calibration: Pick<Calibration, 'admits'>;
  /** What the package's judge tells of a latent. */
  judged: readonly JudgedAttribute[];
  /** All of a video and of meaning unless told. */
  traits?: VectorTraits;
}

/** What of an entry tells what its video shows. */
export type DonorRecord = Pick<
  Entry,
  'prompt' | 'objectPhrase' | 'backgroundPhrase' | 'unheardWords' | 'promptVectors' | 'vectors'
> &
  Partial<Pick<Entry, 'shown'>>;

/** Attributes that a near donor may show otherwise than asked for. */
const NEAR_CONTRADICTIONS = 1;

/** What an entry may be to a request. */
export interface Verification {
  /** `asked`: it shows what is asked of the part; `near`: the whole of something else, not far from it. */
  shows: 'asked' | 'near' | 'other';
  /** Attributes asked for that the judge was not sure to see, or saw otherwise. */
  doubts: number;
  /** Whether there is no doubt, and an attribute asked for that the judge was sure to see. */
  isSure: boolean;
  /**
   * Of a background: whether the entry has an object of its own, and the judge saw it where the one that is
   * asked for is to be. False where the package does not say which attributes tell that.
   */
  isPlaced: boolean;
}

/**
 * What an entry that the index proposes for a part is to a prompt, as far as can be told without running
 * a network: by the words of both prompts, for the whole by the meaning of each part, as text against
 * the entry's prompt and as text against the entry's video, and by what the package's judge saw in it.
 * How similar it is, the calibration asks besides.
 *
 * @param isSamePrompt whether the entry was made for the very same prompt
 */
export function verifyDonor(
  part: LookupPart,
  question: Question,
  entry: DonorRecord,
  isSamePrompt = false,
): Verification {
  const agreement = compareAsked(part, question, entry);
  const { contradicted, doubted } = agreement;
  const doubts = contradicted + doubted;
  const isSure = isConfirmed(agreement);
  const isPlaced = part === 'background' && isPlacedAs(question, entry);
  const isWhole = part === 'whole';
  const isAsked =
    contradicted === 0 && ((isWhole && isSamePrompt) || agreesWith(part, question, entry));
  if (isAsked) return { shows: 'asked', doubts, isSure, isPlaced };
  return {
    shows: isWhole && contradicted <= NEAR_CONTRADICTIONS ? 'near' : 'other',
    doubts,
    isSure,
    isPlaced,
  };
}

/** What the judge saw in an entry beside what is asked of a part. */
function compareAsked(
  part: LookupPart,
  { embedding, judged }: Pick<Question, 'embedding' | 'judged'>,
  { shown = {} }: DonorRecord,
): ShownAgreement {
  const { objectPhrase: object, backgroundPhrase: background } = embedding;
  return compareShown(judged, shown, part, { object, background });
}

function isConfirmed({ contradicted, doubted, confirmed }: ShownAgreement): boolean {
  return contradicted + doubted === 0 && confirmed > 0;
}

function isPlacedAs({ embedding, judged }: Question, entry: DonorRecord): boolean {
  const ofPlace = judged.filter(({ place }) => place === true);
  if (ofPlace.length === 0 || entry.vectors.object === null) return false;
  const question = { embedding, judged: ofPlace };
  const { contradicted, doubted } = compareAsked('object', question, entry);
  return contradicted + doubted === 0;
}

/** By words and meaning alone. */
function agreesWith(part: LookupPart, question: Question, entry: DonorRecord): boolean {
  const { prompt, embedding, traits = ALL_TRAITS } = question;
  const untold = (of: string, unheard: readonly string[]): readonly string[] =>
    traits.knowsMeaning ? unheard : spokenWords(of);
  const asked: ReadPrompt = {
    prompt,
    objectPhrase: embedding.objectPhrase,
    backgroundPhrase: embedding.backgroundPhrase,
    unknownWords: untold(prompt, unheardWordsOf(embedding.reading)),
  };
  const stored: ReadPrompt = {
    ...entry,
    unknownWords: untold(entry.prompt, entry.unheardWords ?? []),
  };
  if (part !== 'whole') return mayLendPart(part, asked, stored);
  if (!mayMeanTheSame(asked, stored)) return false;
  return PARTS.every(
    (each) => meansTheSame(each, embedding, entry) && videoShows(each, question, entry),
  );
}

/**
 * How alike a request's part and an entry's are, by all that is known of them: the cosine of text and
 * video or, where it is larger, that of both texts times how well the video shows its own prompt. At
 * equal precision on 190 videos of the demo package it finds 64 % of the objects that would do, text
 * against video alone 57 %.
 */
export function partScore(
  part: LookupPart,
  embedding: Pick<PromptEmbedding, 'vectors'>,
  { vectors, promptVectors }: Pick<Entry, 'vectors' | 'promptVectors'>,
): number | null {
  const [asked, shown] = [embedding.vectors[part], vectors[part]];
  if (asked === null || shown === null) return null;
  const similarity = cosine(asked, shown);
  const said = part === 'whole' ? null : (promptVectors?.[part] ?? null);
  if (said === null) return similarity;
  return Math.max(similarity, cosine(asked, said) * cosine(said, shown));
}

/** Words that no vector tells about. */
export function unheardWordsOf(reading: PromptReading | undefined): string[] {
  return reading === undefined ? [] : [...reading.unknownWords, ...reading.cutWords];
}

function meansTheSame(
  part: Part,
  { vectors }: PromptEmbedding,
  { promptVectors }: DonorRecord,
): boolean {
  if (promptVectors === undefined) return false;
  const [asked, stored] = [vectors[part], promptVectors[part]];
  if (asked === null || stored === null) return asked === stored;
  return cosine(asked, stored) >= SAME_MEANING_SIMILARITY;
}

/**
 * A video that does not show a part as it was asked for is no donor of the whole. Where vectors are of prompts, this
 * is asked of the prompt that it was made for; where they are of whole videos, of no part.
 */
function videoShows(part: Part, question: Question, entry: DonorRecord): boolean {
  const { describe } = question.traits ?? ALL_TRAITS;
  const asked = question.embedding.vectors[part];
  if (asked === null || describe === 'video') return true;
  const shown = describe === 'parts' ? entry.vectors[part] : (entry.promptVectors?.[part] ?? null);
  if (shown === null) return false;
  const isSure = isConfirmed(compareAsked(part, question, entry));
  return question.calibration.admits(part, cosine(asked, shown), isSure);
}
