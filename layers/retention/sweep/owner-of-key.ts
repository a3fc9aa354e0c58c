/** Returns the video id of `latents/{videoId}/...`, and likewise of other prefixes. */
export function ownerOfKey(key: string): string {
  return key.split('/')[1] ?? '';
}
