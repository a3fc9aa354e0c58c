/** The video id in `latents/{videoId}/...`, and likewise under the other prefixes. */
export function ownerOfKey(key: string): string {
  return key.split('/')[1] ?? '';
}
