/** Characters that a quoted file name may hold without escapes in every browser. */
const UNSAFE = /[^A-Za-z0-9 ._()-]/g;

/** Header that makes a browser save what it receives, under this name. */
export function contentDisposition(fileName: string): string {
  return `attachment; filename="${fileName.replace(UNSAFE, '_')}"`;
}
