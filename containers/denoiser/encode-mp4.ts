import { availableParallelism } from 'node:os';
import { CallThread, threadFile } from '#models/call-thread.ts';
import type { FrameGroup } from './encode-group.ts';
import type { Frames } from './frames.ts';
import { joinMp4 } from './mp4-boxes.ts';

/**
 * A video of more frames is cut into groups that are encoded beside each other. Every group costs a whole
 * picture. It is the same on every machine: equal videos are equal bytes.
 */
const MAX_FRAMES_OF_GROUP = 48;

/** Beyond it more groups of one video are rare. */
const MAX_THREADS = 8;

const THREAD_FILE = threadFile(import.meta.url, 'encode-group-main');
const threads: CallThread<FrameGroup, Uint8Array>[] = [];

/** Encodes frames as H.264 in MP4, in threads of its own. */
export async function encodeMp4(frames: Frames, framesPerSecond: number): Promise<Uint8Array> {
  const groups = Math.ceil(frames.rgb.length / MAX_FRAMES_OF_GROUP);
  const parts = Array.from({ length: groups }, (_, group) => {
    const cut = (at: number): number => Math.round((at * frames.rgb.length) / groups);
    const rgb = frames.rgb.slice(cut(group), cut(group + 1));
    return idlestThread().call({ frames: { ...frames, rgb }, framesPerSecond });
  });
  return joinMp4(await Promise.all(parts));
}

/** Threads stay for the next video: each has the encoder loaded. */
function idlestThread(): CallThread<FrameGroup, Uint8Array> {
  const idle = threads.find(({ waiting }) => waiting === 0);
  if (idle !== undefined) return idle;
  if (threads.length < Math.min(MAX_THREADS, availableParallelism())) {
    const thread = new CallThread<FrameGroup, Uint8Array>(THREAD_FILE, 'video encoder');
    threads.push(thread);
    return thread;
  }
  return threads.reduce((least, thread) => (thread.waiting < least.waiting ? thread : least));
}
