import { InvalidInputError } from '../errors.ts';
import { createRandomSource } from '../random.ts';
import { elementCount, type Tensor } from './tensor.ts';

const TWO_POW_32 = 2 ** 32;

/**
 * Generates standard normal noise of a shape, identical on every machine.
 *
 * One uniform number gives one normal number through the inverse normal distribution. It uses only
 * `+ - * /` and `sqrt`, which IEEE 754 rounds deterministically; `Math.log` and `Math.cos` may
 * differ between engines.
 *
 * @param seed integer 0..2^32-1
 * @param stream purpose of the noise, e.g. `start`: streams of one seed are independent
 * @throws InvalidInputError if the shape has an extent that is not a positive integer
 */
export function standardNormalNoise(
  shape: readonly number[],
  seed: number,
  stream: string,
): Tensor {
  if (shape.length === 0 || shape.some((extent) => !Number.isInteger(extent) || extent < 1)) {
    throw new InvalidInputError(
      'shape',
      `noise shape [${shape.join(', ')}] has an extent that is not a positive integer`,
      'give the extents of the latent, e.g. [16, 8, 16, 16]',
    );
  }
  const random = createRandomSource(seed, stream);
  const data = new Float32Array(elementCount(shape));
  for (let index = 0; index < data.length; index++) {
    data[index] = inverseNormal((random.nextUint32() + 0.5) / TWO_POW_32);
  }
  return { data, shape: [...shape] };
}

/**
 * Computes a quantile of the standard normal distribution for 0 < probability < 1.
 *
 * Source: algorithm AS 241, PPND7 (Wichura, 1988, Applied Statistics 37), accurate to about 1e-7.
 */
function inverseNormal(probability: number): number {
  const centred = probability - 0.5;
  if (Math.abs(centred) <= 0.425) {
    const r = 0.180625 - centred * centred;
    return (
      (centred * (((59.10911237 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179)) /
      (((67.1875636 * r + 78.757757664) * r + 17.895169469) * r + 1)
    );
  }
  const tail = centred < 0 ? probability : 1 - probability;
  const distance = Math.sqrt(-naturalLogarithm(tail));
  let quantile: number;
  if (distance <= 5) {
    const r = distance - 1.6;
    quantile =
      (((0.17023821103 * r + 1.3067284816) * r + 2.75681539) * r + 1.4234372777) /
      ((0.12021132975 * r + 0.7370016425) * r + 1);
  } else {
    const r = distance - 5;
    quantile =
      (((0.017337203997 * r + 0.42868294337) * r + 3.081226386) * r + 6.657905115) /
      ((0.012258202635 * r + 0.24197894225) * r + 1);
  }
  return centred < 0 ? -quantile : quantile;
}

/** Computes ln of 0 < value <= 1: counts halvings, the rest by the series of atanh. */
function naturalLogarithm(value: number): number {
  let mantissa = value;
  let exponent = 0;
  while (mantissa < Math.SQRT1_2) {
    mantissa *= 2;
    exponent--;
  }
  const ratio = (mantissa - 1) / (mantissa + 1);
  const square = ratio * ratio;
  let power = ratio;
  let sum = 0;
  for (let odd = 1; odd <= 19; odd += 2) {
    sum += power / odd;
    power *= square;
  }
  return 2 * sum + exponent * Math.LN2;
}
