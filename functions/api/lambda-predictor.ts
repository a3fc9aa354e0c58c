import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { FlexCacheError } from '#core/errors.ts';
import { fromAws } from '#aws/aws-errors.ts';
import type { Prediction, PredictionQuestion } from '../shared/prediction.ts';
import { TRANSIENT_ERROR } from '../shared/task-error.ts';
import { ApiError } from './api-error.ts';
import type { Predictor } from './services.ts';

export interface LambdaPredictorOptions {
  /** ARN or name of the function. */
  functionName: string;
  client?: LambdaClient;
}

/** How Lambda reports what a function threw. */
interface FunctionFailure {
  errorType?: string;
  errorMessage?: string;
}

/**
 * Asks the function that has the embedder: the API itself is quick to start because it has none.
 *
 * @example
 * await new LambdaPredictor({ functionName }).predict({ tenant, source, defaults });
 */
export class LambdaPredictor implements Predictor {
  readonly #functionName: string;
  readonly #client: LambdaClient;

  constructor({ functionName, client }: LambdaPredictorOptions) {
    this.#functionName = functionName;
    this.#client = client ?? new LambdaClient({});
  }

  async predict(question: PredictionQuestion): Promise<Prediction> {
    let answer;
    try {
      answer = await this.#client.send(
        new InvokeCommand({ FunctionName: this.#functionName, Payload: JSON.stringify(question) }),
      );
    } catch (error) {
      throw fromAws(error, 'predict a backfill');
    }
    const payload = JSON.parse(answer.Payload?.transformToString() ?? 'null') as unknown;
    if (answer.FunctionError === undefined) return payload as Prediction;
    throw failed(payload as FunctionFailure);
  }
}

/** The function names its errors by their codes, and begins their messages with them. */
function failed({ errorType = '', errorMessage = '' }: FunctionFailure): Error {
  const message = errorMessage.slice(`${errorType}: `.length);
  switch (errorType) {
    case 'invalid_input':
      return new ApiError(400, errorType, message, { param: 'input_key' });
    case 'object_missing':
      return new FlexCacheError('object_missing', message);
    case TRANSIENT_ERROR:
      return new FlexCacheError('throttled', errorMessage, { transient: true });
    default:
      return new FlexCacheError('internal', `the prediction failed: ${errorType} ${errorMessage}`);
  }
}
