/** What a task template may ask for that is not served: found before anything starts, and said, never ignored. */
import type { TaskTemplate } from '../gen/google/cloud/run/v2/task_template_pb.js';

/**
 * @returns one sentence about the first such thing, or undefined where a task can have all that its template says.
 * Deviation: Cloud Storage, NFS and Cloud SQL volumes and GPUs are accepted on a job, but its tasks fail with a sentence that names what is not served.
 */
export function findUnserved(template: TaskTemplate): string | undefined {
  for (const [index, container] of template.containers.entries()) {
    if (container.image === '' && container.sourceCode !== undefined)
      return `Container ${containerName(container.name, index)} has source code in place of an image, and building is not served.`;
  }
  for (const volume of template.volumes) {
    const what = { cloudSqlInstance: 'a Cloud SQL instance', nfs: 'an NFS share', gcs: 'a Cloud Storage bucket' };
    const { case: kind } = volume.volumeType;
    if (kind !== undefined && kind !== 'emptyDir' && kind !== 'secret') return `Volume ${volume.name} is ${what[kind]}, and volumes of that kind are not served yet.`;
  }
  if (template.nodeSelector !== undefined && template.nodeSelector.accelerator !== '')
    return `The tasks ask for a GPU (${template.nodeSelector.accelerator}), and GPUs are not served.`;
  return undefined;
}

/** Containers without a name get one that is a DNS label and differs from any that a user would choose. */
export function containerName(name: string, index: number): string {
  return name === '' ? `container-${index + 1}` : name;
}
