import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { InvalidInputError } from '../errors.ts';

/** Distance of a sample's normal distribution from the reference's. */
export interface FrechetDistance {
  /** Squared Frechet distance, >= 0, in the squared unit of the features. */
  distance: number;
  /**
   * Influence of each row on the distance (influence function, mean 0). Its standard deviation over
   * the root of the count is the distance's standard error; paired rows of two samples are compared
   * by it.
   */
  influence: Float64Array;
}

/** Eigenvalues below this share of the largest one are numerical noise. */
const MIN_SHARE = 1e-10;

/**
 * Computes squared Frechet distances to one sample, as FID does for images (Heusel et al. 2017,
 * arXiv 1706.08500): |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) of means and covariances.
 *
 * Compare only distances of samples of equal size: small samples have a positive bias.
 *
 * @example
 * const reference = new FrechetReference(featuresOfFullGenerations);
 * const { distance } = reference.distanceTo(featuresOfHits);
 */
export class FrechetReference {
  readonly dimensions: number;
  /** Trace of the covariance of the used components. */
  readonly variance: number;
  readonly #mean: Float64Array;
  /** Square root of the covariance. */
  readonly #root: Matrix;
  /** Principal components, as columns; null if all dimensions are used. */
  readonly #components: Matrix | null;

  /**
   * @param components number of principal components of the reference to use: of features with more
   * dimensions than rows, the rest is noise; default all
   * @throws InvalidInputError for fewer than two rows, or rows of different lengths
   */
  constructor(rows: readonly ArrayLike<number>[], components = Infinity) {
    this.dimensions = rows[0]?.length ?? 0;
    const all = matrixOf(rows, this.dimensions);
    this.#components =
      components < this.dimensions
        ? principalComponents(momentsOf(all).covariance, components)
        : null;
    const { mean, covariance } = momentsOf(this.#project(all));
    this.variance = covariance.trace();
    this.#mean = mean;
    this.#root = powerOf(covariance, 0.5);
  }

  /**
   * Computes the distance of a sample. @throws InvalidInputError for fewer than two rows, or rows
   * of another length than the reference's
   */
  distanceTo(rows: readonly ArrayLike<number>[]): FrechetDistance {
    const { mean, covariance, centred } = momentsOf(this.#project(matrixOf(rows, this.dimensions)));
    const decomposition = decompose(this.#root.mmul(covariance).mmul(this.#root));
    let overlap = 0;
    for (const value of decomposition.values) overlap += Math.sqrt(value);
    let shift = 0;
    const offset = mean.map((value, index) => value - this.#mean[index]!);
    for (const value of offset) shift += value * value;
    const distance = shift + covariance.trace() + this.variance - 2 * overlap;
    // d tr((R^1/2 S R^1/2)^1/2) / dS = R^1/2 (R^1/2 S R^1/2)^-1/2 R^1/2 / 2
    const inverse = recompose(decomposition, (value) => 1 / Math.sqrt(value));
    const slope = Matrix.eye(mean.length).sub(this.#root.mmul(inverse).mmul(this.#root));
    return { distance: Math.max(0, distance), influence: influenceOf(centred, offset, slope) };
  }

  /** Projects rows to the used components. */
  #project(rows: Matrix): Matrix {
    return this.#components === null ? rows : rows.mmul(this.#components);
  }
}

/**
 * Computes the first-order effect of each row on the distance: 2 offset'x + x' slope x, minus its
 * mean.
 */
function influenceOf(centred: Matrix, offset: Float64Array, slope: Matrix): Float64Array {
  const product = centred.mmul(slope);
  const influence = new Float64Array(centred.rows);
  let sum = 0;
  for (let row = 0; row < centred.rows; row++) {
    let value = 0;
    for (let column = 0; column < centred.columns; column++) {
      const x = centred.get(row, column);
      value += 2 * offset[column]! * x + product.get(row, column) * x;
    }
    influence[row] = value;
    sum += value;
  }
  const mean = sum / centred.rows;
  return influence.map((value) => value - mean);
}

interface Moments {
  mean: Float64Array;
  covariance: Matrix;
  /** Rows minus their mean. */
  centred: Matrix;
}

function matrixOf(rows: readonly ArrayLike<number>[], dimensions: number): Matrix {
  const count = rows.length;
  if (count < 2 || rows.some((row) => row.length !== dimensions)) {
    throw new InvalidInputError(
      'rows',
      `${count} rows of ${rows.map((row) => row.length).join(', ') || 'nothing'} numbers, expected at least 2 of ${dimensions}`,
      'give the features of at least two videos of the same network',
    );
  }
  const matrix = Matrix.zeros(count, dimensions);
  for (const [index, row] of rows.entries()) {
    for (let column = 0; column < dimensions; column++) matrix.set(index, column, row[column]!);
  }
  return matrix;
}

function momentsOf(rows: Matrix): Moments {
  const mean = rows.mean('column');
  const centred = rows.clone().subRowVector(mean);
  const covariance = centred
    .transpose()
    .mmul(centred)
    .mul(1 / (rows.rows - 1));
  return { mean: Float64Array.from(mean), covariance, centred };
}

/** Returns the eigenvectors of the largest eigenvalues, as columns. */
function principalComponents(covariance: Matrix, count: number): Matrix {
  const { values, vectors } = decompose(covariance);
  const order = [...values.keys()].sort((one, other) => values[other]! - values[one]!);
  return vectors.subMatrixColumn(order.slice(0, count));
}

interface Decomposition {
  /** Significant eigenvalues, all positive. */
  values: number[];
  /** Their eigenvectors, as columns. */
  vectors: Matrix;
}

function decompose(symmetric: Matrix): Decomposition {
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(symmetric, {
    assumeSymmetric: true,
  });
  const least = Math.max(...realEigenvalues) * MIN_SHARE;
  const kept = [...realEigenvalues.keys()].filter(
    (index) => realEigenvalues[index]! > Math.max(0, least),
  );
  return {
    values: kept.map((index) => realEigenvalues[index]!),
    vectors: eigenvectorMatrix.subMatrixColumn(kept),
  };
}

function recompose({ values, vectors }: Decomposition, change: (value: number) => number): Matrix {
  const scaled = vectors.clone().mulRowVector(values.map(change));
  return scaled.mmul(vectors.transpose());
}

function powerOf(symmetric: Matrix, exponent: number): Matrix {
  return recompose(decompose(symmetric), (value) => value ** exponent);
}
