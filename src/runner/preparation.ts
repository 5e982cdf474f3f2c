/**
 * What must be known before the first attempt of an execution: the content that each image stands for, and whether this host can run
 * what the template asks for. The outcome is the blueprint of all attempts, or why there will be none.
 */
import { clone } from '@bufbuild/protobuf';
import { type Condition, Condition_CommonReason, Condition_Severity, Condition_State } from '../gen/google/cloud/run/v2/condition_pb.js';
import type { Execution } from '../gen/google/cloud/run/v2/execution_pb.js';
import { type TaskTemplate, TaskTemplateSchema } from '../gen/google/cloud/run/v2/task_template_pb.js';
import { fromDuration, type Micros } from '../timestamp.ts';
import type { Blueprint } from './attempt-spec.ts';
import type { ConditionChange } from './conditions.ts';
import type { RunnerContext } from './context.ts';
import { ImageError, type ResolvedImage } from './driver.ts';
import { imageName } from './image-name.ts';
import { fitResources } from './resources.ts';
import { hasSecretVolume } from './task-secrets.ts';
import { findUnserved } from './unserved.ts';

/** Why no task of an execution can run. All that have not started fail with it, without retries: another try would find the same. */
export interface Refusal {
  readonly kind: 'refused';
  /** google.rpc.Code of the operation and of the tasks. */
  readonly code: number;
  readonly message: string;
  readonly reasons: Condition['reasons'];
  /** It was the image: the execution's ContainerReady says so. */
  readonly isImage: boolean;
}

export interface Preparation {
  readonly kind: 'prepared';
  readonly blueprint: Blueprint;
  /** What a person should know: informational conditions of the execution, and lines of our log. */
  readonly hints: readonly ConditionChange[];
  /** How long it took, where an image had to be fetched. */
  readonly importMicros: Micros | undefined;
}

/** @throws ImageError of kind `unavailable`: to be tried again later */
export async function prepareExecution(context: RunnerContext, execution: Execution): Promise<Preparation | Refusal> {
  const { template } = execution;
  if (template === undefined) return refuse(13, 'The execution has no template.');
  const unserved = findUnserved(template);
  if (unserved !== undefined) return refuse(12, unserved);
  if (context.info.noFiles !== undefined && hasSecretVolume(template))
    return refuse(12, `The tasks mount secrets as volumes, and ${context.info.noFiles}. Give them as environment variables.`);
  const fit = fitResources(template.containers, context.info);
  if (context.limits.strictResources && fit.shortfalls.length > 0)
    return refuse(9, `${fit.shortfalls.join(' ')} The control plane runs with strict resources, so it starts nothing with less.`);
  const begin = context.clock.now();
  const images: ResolvedImage[] = [];
  for (const container of template.containers) {
    try {
      images.push(await context.images.resolve(container.image));
    } catch (error) {
      if (!(error instanceof ImageError) || error.kind === 'unavailable') throw error;
      context.log.warn({ execution: execution.name, image: container.image, reason: error.message }, 'An image cannot be had.');
      const failure = imageFailure(container.image, error);
      return { kind: 'refused', isImage: true, ...failure };
    }
  }
  const importMicros = images.some((image) => image.source === 'pulled') ? context.clock.now() - begin : undefined;
  const hints = [
    ...fit.shortfalls.map((text) => hint('ResourcesClamped', Condition_Severity.WARNING, `${text} Each container gets its share of that.`)),
    ...images.flatMap((image, index) =>
      imageHints(template.containers[index]?.image ?? '', image, fromDuration(template.timeout ?? { $typeName: 'google.protobuf.Duration', seconds: 600n, nanos: 0 })),
    ),
  ];
  for (const { type, message } of hints) context.log.warn({ execution: execution.name, hint: type }, message ?? '');
  const blueprint: Blueprint = {
    job: execution.job,
    execution: execution.name,
    taskCount: execution.taskCount,
    template: pinImages(template, images),
    images: images.map((image) => image.pinned),
    resources: fit.given,
  };
  return { kind: 'prepared', blueprint, hints, importMicros };
}

/** Google's words for an image that cannot be had, with the code that its operations carry (5 is what Terraform prints for a missing one). */
export function imageFailure(image: string, error: ImageError): { readonly code: number; readonly message: string; readonly reasons: Condition['reasons'] } {
  return error.kind === 'unauthorized'
    ? {
        code: 7,
        message: `Image '${image}' could not be read: access to its registry was denied.`,
        reasons: { case: 'reason', value: Condition_CommonReason.CONTAINER_IMAGE_UNAUTHORIZED },
      }
    : { code: 5, message: `Image '${image}' not found.`, reasons: { case: 'reason', value: Condition_CommonReason.CONTAINER_MISSING } };
}

/** What is odd about an image, for whoever means to run it on Cloud Run as well. */
export function imageHints(reference: string, image: ResolvedImage, timeoutMs: number): ConditionChange[] {
  const hints: ConditionChange[] = [];
  if (image.os !== 'linux' || image.architecture !== 'amd64')
    hints.push(
      hint(
        'ImageArchitecture',
        Condition_Severity.WARNING,
        `Image '${reference}' is built for ${image.os}/${image.architecture}. It runs here, but Cloud Run will refuse it: it takes linux/amd64 only.`,
      ),
    );
  if (image.exposedPorts.length > 0)
    hints.push(
      hint(
        'ImageListens',
        Condition_Severity.INFO,
        `Image '${reference}' says that it listens on ${image.exposedPorts.join(', ')}. A job's container must end by itself: one that serves until it is stopped runs into the timeout of ${timeoutMs / 1000} seconds.`,
      ),
    );
  return hints;
}

function hint(type: string, severity: Condition_Severity, message: string): ConditionChange {
  return { type, state: Condition_State.CONDITION_SUCCEEDED, severity, message };
}

function refuse(code: number, message: string): Refusal {
  return { kind: 'refused', code, message, reasons: { case: 'reason', value: Condition_CommonReason.UNKNOWN }, isImage: false };
}

/** The template as the execution shows it from now on. */
function pinImages(template: TaskTemplate, images: readonly ResolvedImage[]): TaskTemplate {
  const pinned = clone(TaskTemplateSchema, template);
  for (const [index, container] of pinned.containers.entries()) {
    const image = images[index];
    if (image !== undefined) container.image = `${imageName(container.image)}@${image.digest}`;
  }
  return pinned;
}
