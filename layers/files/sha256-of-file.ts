import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';

/**
 * Hexadecimal sha256 of a file of any size, which is read in pieces.
 *
 * @param onPiece called after each of them
 * @throws the file system's error.
 */
export async function sha256OfFile(path: string, onPiece?: () => void): Promise<string> {
  const digest = createHash('sha256');
  for await (const piece of createReadStream(path)) {
    digest.update(piece as Buffer);
    onPiece?.();
  }
  return digest.digest('hex');
}
