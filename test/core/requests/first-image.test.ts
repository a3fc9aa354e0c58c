import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { imageOfFile, MAX_IMAGE_BYTES, validateImage } from '#core/requests/first-image.ts';

const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 1, 2, 3]);
const JPEG = Buffer.from([0xff, 0xd8, 0xff, 0xe0, 1, 2]);
const WEBP = Buffer.from('RIFF\0\0\0\0WEBPVP8 ');

describe('imageOfFile', () => {
  it.each([
    ['PNG', PNG],
    ['JPEG', JPEG],
    ['WebP', WEBP],
  ])('names a %s by the sha256 of its file', (_, file) => {
    const image = imageOfFile(file);
    expect(image).toBe(createHash('sha256').update(file).digest('hex'));
    expect(validateImage(image)).toBe(image);
  });

  it.each([
    ['nothing', Buffer.alloc(0), /no PNG, JPEG or WebP/],
    ['a text', Buffer.from('an image'), /no PNG, JPEG or WebP/],
    ['a sound', Buffer.from('RIFF\0\0\0\0WAVEfmt '), /no PNG, JPEG or WebP/],
    ['too many bytes', Buffer.concat([PNG, Buffer.alloc(MAX_IMAGE_BYTES)]), /at most 4194304/],
  ])('refuses %s', (_, file, message) => {
    expect(() => imageOfFile(file)).toThrow(
      expect.objectContaining({ field: 'image', message: expect.stringMatching(message) }),
    );
  });
});

describe('validateImage', () => {
  it.each([null, 7, 'a.png', 'A'.repeat(64), 'a'.repeat(63)])('refuses %j', (image) => {
    expect(() => validateImage(image)).toThrow(expect.objectContaining({ field: 'image' }));
  });
});
