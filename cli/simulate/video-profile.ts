import { InvalidInputError } from '#core/errors.ts';

/** Size and cost of one video of a model. */
export interface VideoProfile {
  name: string;
  /** Bytes of a stored latent. */
  latentBytes: number;
  /** GPU seconds of one network evaluation. */
  secondsPerEvaluation: number;
  /** Network evaluations of a full generation; the package's own if its hits were tuned for it. */
  steps: number;
  /**
   * Whether the steps of hits were tuned for this model; if not, a hit runs its share of the full
   * number.
   */
  hasTunedSteps: boolean;
  /** Source of the figures. */
  source: string;
}

/** Models by name. */
export const VIDEO_PROFILES: readonly VideoProfile[] = [
  {
    name: 'demo',
    latentBytes: 6093,
    secondsPerEvaluation: 0.0088,
    steps: 10,
    hasTunedSteps: true,
    source:
      'the demo package: bytes a latent by bench/rate-distortion.ts, seconds by bench/providers.ts through WebGPU on an H200 (README)',
  },
  {
    name: '480p-1.3b',
    latentBytes: 1_048_320,
    secondsPerEvaluation: 2,
    steps: 50,
    hasTunedSteps: false,
    source:
      'Wan2.1 1.3B, 832x480, 81 frames: a latent of 16x21x60x104 values at 4 bits each without entropy coding; 2 s an evaluation assumed for one L4 (ASSUMED_TIMING of layers/core/costs/cost.ts)',
  },
];

/** Applies the steps that the package's hits were tuned for, if the profile has tuned steps. */
export function profileOf(profile: VideoProfile, tunedSteps: number | null): VideoProfile {
  return profile.hasTunedSteps && tunedSteps !== null ? { ...profile, steps: tunedSteps } : profile;
}

const FIELDS = ['latent', 'seconds', 'steps'] as const;
const LIMITS = { latent: 1e10, seconds: 3600, steps: 1000 } as const;

/**
 * Parses a profile name, or `latent=BYTES,seconds=SECONDS,steps=N`.
 *
 * @throws InvalidInputError that names the invalid part
 */
export function parseVideoProfile(text: string): VideoProfile {
  const named = VIDEO_PROFILES.find(({ name }) => name === text);
  if (named !== undefined) return named;
  const values = new Map<string, string>(
    text.split(',').map((pair) => {
      const [key, value] = pair.split('=', 2);
      return [key!.trim(), value ?? ''];
    }),
  );
  const unknown = [...values.keys()].find((key) => !(FIELDS as readonly string[]).includes(key));
  if (unknown !== undefined || values.size !== FIELDS.length) {
    throw wrong(
      `"${text}" is neither a known profile nor latent=BYTES,seconds=SECONDS,steps=N`,
      `use one of ${VIDEO_PROFILES.map(({ name }) => name).join(', ')}, or latent=1048320,seconds=2,steps=50`,
    );
  }
  const [latentBytes, secondsPerEvaluation, steps] = FIELDS.map((field) => {
    const value = Number(values.get(field) || Number.NaN);
    const isWhole = field === 'seconds' || Number.isInteger(value);
    if (value > 0 && value <= LIMITS[field] && isWhole) return value;
    throw wrong(
      `${field}=${values.get(field)} is not ${field === 'seconds' ? 'a number' : 'a whole number'} above 0, at most ${LIMITS[field]}`,
      `change ${field}`,
    );
  }) as [number, number, number];
  return {
    name: text,
    latentBytes,
    secondsPerEvaluation,
    steps,
    hasTunedSteps: false,
    source: 'the command line',
  };
}

function wrong(message: string, fix: string): InvalidInputError {
  return new InvalidInputError('video-profile', message, fix);
}
