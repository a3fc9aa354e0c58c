import { serveCalls } from '#models/call-thread.ts';
import { encodeGroup, type FrameGroup } from './encode-group.ts';

serveCalls<FrameGroup, Uint8Array>(
  async (group) => Uint8Array.from(await encodeGroup(group)),
  (mp4) => [mp4.buffer as ArrayBuffer],
);
