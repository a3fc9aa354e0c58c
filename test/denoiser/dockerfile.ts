import { readFileSync } from 'node:fs';

const DOCKERFILE = new URL('../../containers/denoiser/Dockerfile', import.meta.url);

/** What of the worker's Dockerfile decides how its process runs. */
export interface WorkerImage {
  /** The command that fills the image's folder, and the folder that it is given. */
  build: { command: string[]; folder: string };
  /** Base image of the stage that runs. */
  base: string;
  /** The command that ends the build unless the CUDA provider's libraries are there. */
  linkCheck: string[];
  /** What the CUDA provider is copied from, and into which folder under the working directory. */
  provider: { files: string[]; folder: string };
  workingDirectory: string;
  environment: Record<string, string>;
  user: string;
  healthCheck: string[];
  entryPoint: string[];
}

/** Reads the instructions that this Dockerfile uses; it is no reader for others. */
export function readDockerfile(): WorkerImage {
  const text = readFileSync(DOCKERFILE, 'utf8').replaceAll('\\\n', ' ');
  const runtime = text.slice(text.indexOf('FROM nvidia/'));
  const only = (from: string, pattern: RegExp): string => {
    const found = [...from.matchAll(pattern)];
    if (found.length !== 1) throw new Error(`Dockerfile: ${found.length} times ${pattern.source}`);
    return found[0]![1]!;
  };
  const command = only(text, /^RUN (node containers\/.*)$/gm).split(' ');
  const folder = only(runtime, /^COPY --from=build (\S+) \.\/$/gm);
  if (command.at(-1) !== folder) throw new Error(`Dockerfile: ${folder} is not what is built`);
  const words = (line: string): string[] => line.split(' ').filter((word) => word !== '');
  const provider = words(only(runtime, /^COPY --from=provider (.*)$/gm));
  return {
    build: { command, folder },
    base: only(runtime, /^FROM (nvidia\S*)/gm),
    linkCheck: words(only(runtime, /^RUN (sh .*check-links\.sh .*)$/gm)),
    provider: { files: provider.slice(0, -1), folder: provider.at(-1)! },
    workingDirectory: only(runtime, /^WORKDIR (\S+)$/gm),
    environment: Object.fromEntries(
      [...runtime.matchAll(/^ENV (\w+)=(\S+)$/gm)].map(([, name, value]) => [name, value]),
    ),
    user: only(runtime, /^USER (\S+)$/gm),
    healthCheck: JSON.parse(only(runtime, /^HEALTHCHECK .* CMD (\[.*\])$/gm)) as string[],
    entryPoint: JSON.parse(only(runtime, /^ENTRYPOINT (\[.*\])$/gm)) as string[],
  };
}
