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
  /**
   * The CUDA provider: what its stage copies from the repository (from, to), the command that fills a folder with it, that
   * folder, and the one under the working directory that it goes into.
   */
  provider: {
    copies: [from: string, to: string][];
    command: string[];
    from: string;
    folder: string;
  };
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
  const builder = text.slice(0, text.indexOf(' AS provider'));
  const installer = text.slice(text.indexOf(' AS provider'), text.indexOf('FROM nvidia/'));
  const only = (from: string, pattern: RegExp): string => {
    const found = [...from.matchAll(pattern)];
    if (found.length !== 1) throw new Error(`Dockerfile: ${found.length} times ${pattern.source}`);
    return found[0]![1]!;
  };
  const command = only(builder, /^RUN (node containers\/.*)$/gm).split(' ');
  const folder = only(runtime, /^COPY --from=build (\S+) \.\/$/gm);
  if (command.at(-1) !== folder) throw new Error(`Dockerfile: ${folder} is not what is built`);
  const words = (line: string): string[] => line.split(' ').filter((word) => word !== '');
  const [from, to] = words(only(runtime, /^COPY --from=provider (\S+ \S+)$/gm));
  return {
    build: { command, folder },
    base: only(runtime, /^FROM (nvidia\S*)/gm),
    linkCheck: words(only(runtime, /^RUN (sh .*check-links\.sh .*)$/gm)),
    provider: {
      copies: [...installer.matchAll(/^COPY (\S+) (\S+)$/gm)].map((copy) => [copy[1]!, copy[2]!]),
      command: words(only(installer, /^RUN (node .*)$/gm)),
      from: from!,
      folder: to!,
    },
    workingDirectory: only(runtime, /^WORKDIR (\S+)$/gm),
    environment: Object.fromEntries(
      [...runtime.matchAll(/^ENV (\w+)=(\S+)$/gm)].map(([, name, value]) => [name, value]),
    ),
    user: only(runtime, /^USER (\S+)$/gm),
    healthCheck: JSON.parse(only(runtime, /^HEALTHCHECK .* CMD (\[.*\])$/gm)) as string[],
    entryPoint: JSON.parse(only(runtime, /^ENTRYPOINT (\[.*\])$/gm)) as string[],
  };
}
