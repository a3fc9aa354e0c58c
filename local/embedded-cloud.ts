import type { CacheMode, Job } from '#core/generation.ts';
import type { ObjectStore } from '#stores/objects.ts';
import type { Table } from '#stores/table.ts';
import type { VectorIndex } from '#stores/vector-index.ts';

export interface EmbeddedCloudOptions {
  /** Folder of all state; created when missing. */
  stateDirectory: string;
  /** Folder of the model package. */
  modelDirectory: string;
  /** onnxruntime execution provider of the worker. */
  executionProvider?: 'cpu' | 'webgpu' | 'cuda';
}

/** What a person asks for, before validation. */
export interface GenerateInput {
  prompt: string;
  seed?: number;
  cache?: CacheMode;
  steps?: number;
  tenant?: string;
  /** Same key, same video id: a rerun finds the job instead of making another. */
  idempotencyKey?: string;
}

export interface Progress {
  videoId: string;
  stage: 'embed' | 'lookup' | 'queue' | 'generate' | 'commit';
  /** 0..100 */
  percent: number;
}

/** The whole product on one machine. */
export interface EmbeddedCloud {
  readonly stateDirectory: string;
  readonly modelRevision: string;
  readonly table: Table;
  readonly objects: ObjectStore;
  readonly vectors: VectorIndex;
  /**
   * Submits and waits. Resolves with the finished job, completed, failed or cancelled; rejects only
   * on invalid input or when the embedded cloud itself breaks.
   */
  generate(input: GenerateInput, onProgress?: (progress: Progress) => void): Promise<Job>;
  cancel(videoId: string): Promise<void>;
  /** Stops the worker between two steps, flushes and releases the state folder. */
  close(): Promise<void>;
}

/** Opens (and creates) the state folder. @throws FlexCacheError `state_locked` when another process holds it. */
export declare function openEmbeddedCloud(options: EmbeddedCloudOptions): Promise<EmbeddedCloud>;
