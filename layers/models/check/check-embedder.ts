import type { ExecutionProvider } from '../execution-provider.ts';
import { expectedSignature } from '../network-signature.ts';
import type { ModelPackage } from '../manifest.ts';
import { OnnxNetworks } from '../onnx-networks.ts';
import { SentenceEmbedder } from '../sentence-embedder.ts';
import { requireDeclaredData } from './check-files.ts';
import { EXPORT_AGAIN, signatureProblems } from './compare-signatures.ts';
import { attempt, failed, type Finding } from './finding.ts';

const CHECK = 'network embedder';

/** Checks the sentence encoder of a package with the tokenizer of its own, on one text and on several. */
export async function checkEmbedder(
  modelPackage: ModelPackage,
  networks: OnnxNetworks,
  executionProvider: ExecutionProvider,
  texts: readonly string[],
): Promise<Finding[]> {
  try {
    await requireDeclaredData(modelPackage, 'embedder');
    const expected = expectedSignature('embedder', modelPackage.manifest);
    const found = await networks.signature('embedder');
    const problems = signatureProblems('embedder', expected, found);
    if (problems.length > 0) return problems.map((problem) => failed(CHECK, problem));
  } catch (error) {
    return [failed(CHECK, error, EXPORT_AGAIN)];
  }
  const embedding = await attempt(
    CHECK,
    async () => {
      const options = { inThread: false, executionProvider };
      const embedder = await SentenceEmbedder.ofPackage(modelPackage, options);
      try {
        const [alone] = await embedder.embedTexts(texts.slice(0, 1));
        await embedder.embedTexts(texts);
        return `opens; its tokenizer loads; vectors of ${alone!.vector.length} dimensions for 1 and for ${texts.length} texts`;
      } finally {
        await embedder.close();
      }
    },
    EXPORT_AGAIN,
  );
  return [embedding];
}
