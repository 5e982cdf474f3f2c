/** Whether an image of Artifact Registry is there, by its manifest: nothing is pulled. Of other registries nothing is asked. */
import { failedPrecondition, notFound } from '../../errors.ts';
import type { Question } from '../../services/run/question.ts';
import type { Google } from './google.ts';

const IMAGE = /^(?<host>[a-z0-9-]+-docker\.pkg\.dev)\/(?<path>[^:@]+)(?::(?<tag>[\w.-]+))?(?:@(?<digest>sha256:[0-9a-f]{64}))?$/;

/** The parts of an OCI index or manifest that are looked at. */
interface Manifest {
  readonly manifests?: readonly { readonly platform?: { readonly os?: string; readonly architecture?: string } }[];
}

/** @returns undefined for an image of another registry */
export function imageQuestion(google: Google, image: string): Question | undefined {
  const groups = IMAGE.exec(image)?.groups;
  if (groups === undefined) return undefined;
  const { host = '', path = '', tag = 'latest', digest = tag } = groups;
  return {
    topic: 'IMAGE',
    about: `${image} is there; where it is of several architectures, for linux/amd64`,
    async ask() {
      const manifest = await google.manifest<Manifest>(`${host}/v2`, `${path}/manifests/${digest}`);
      if (manifest === undefined) throw notFound(`Image '${image}' not found.`);
      const platforms = (manifest.manifests ?? []).map(({ platform }) => `${platform?.os ?? ''}/${platform?.architecture ?? ''}`);
      // Cloud Run runs Linux on x86-64. Source: https://docs.cloud.google.com/run/docs/container-contract#languages
      if (platforms.length > 0 && !platforms.includes('linux/amd64'))
        throw failedPrecondition(`Image '${image}' is for ${[...new Set(platforms)].join(', ')}, and Cloud Run needs linux/amd64.`);
    },
  };
}
