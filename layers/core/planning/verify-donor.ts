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
 * Minimum cosine between what two prompts say of a part, both as texts, for synonymous wording. On
 * the demo package 459 pairs of captions of one clip have at least 0.943; 1,041 pairs of clips that
 * differ in one attribute have at most 0.830.
 */
export const SAME_MEANING_SIMILARITY = 0.93;

/** What the vectors of entries and requests represent. */
export interface VectorTraits {
  /**
   * What an entry's vectors describe: its video and the video's parts, only the whole video, or the
   * prompt that it was made for.
   */
  readonly describe: 'parts' | 'video' | 'prompt';
  /**
   * Whether synonymous words have similar vectors; if not, prompts of different words are never the
   * same.
   */
  readonly knowsMeaning: boolean;
  /** Whether latents are segmented into object and background; if not, only wholes are reused. */
  readonly separatesParts: boolean;
}

/** Traits of a package with every network. */
const ALL_TRAITS: VectorTraits = {
  describe: 'parts',
  knowsMeaning: true,
  separatesParts: true,
};

/** The request. */
export interface Question {
  prompt: string;
  embedding: PromptEmbedding;
  /** The package's thresholds for the cosine of a prompt's part and an entry's. */
  calibration: Pick<Calibration, 'admits'>;
  /** Attributes of the package's judge. */
  judged: readonly JudgedAttribute[];
  /** Default: everything. */
  traits?: VectorTraits;
}

/** Fields of an entry that reveal what its video shows. */
export type DonorRecord = Pick<
  Entry,
  'prompt' | 'objectPhrase' | 'backgroundPhrase' | 'unheardWords' | 'promptVectors' | 'vectors'
> &
  Partial<Pick<Entry, 'shown'>>;

/** Maximum attributes in which a near donor may differ from the request. */
const NEAR_CONTRADICTIONS = 1;

/** How an entry may serve a request. */
export interface Verification {
  /**
   * `asked`: it shows what is asked of the part; `near`: the whole of something else, but similar.
   */
  shows: 'asked' | 'near' | 'other';
  /** Requested attributes that the judge was not sure to see, or saw otherwise. */
  doubts: number;
  /**
   * Whether there is no doubt, and at least one requested attribute that the judge was sure to see.
   */
  isSure: boolean;
  /**
   * For a background: whether the entry has its own object, and the judge saw it where the
   * requested one goes. False if the package does not say which attributes determine that.
   */
  isPlaced: boolean;
}

/**
 * Determines how an entry that the index proposes for a part may serve a prompt, without running a
 * network: by the words of both prompts, for the whole by the meaning of each part (as text against
 * the entry's prompt and video), and by what the package's judge saw in it. The calibration checks
 * similarity separately.
 *
 * @param isSamePrompt whether the entry was made for the same prompt
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

/** Compares what the judge saw in an entry with what is asked of a part. */
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

/** Compares by words and meaning only. */
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
 * Computes the overall similarity of a request's part and an entry's: the cosine of text and video
 * or, if larger, that of both texts times how well the video shows its own prompt. At equal
 * precision on 190 videos of the demo package it finds 64 % of the usable objects; text against
 * video alone finds 57 %.
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

/** Returns the words that no vector reflects. */
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
 * Whether the video shows a part as it was asked for, which a donor of the whole must. If vectors
 * describe prompts, this checks the prompt that it was made for; if they describe whole videos, it
 * checks nothing.
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
