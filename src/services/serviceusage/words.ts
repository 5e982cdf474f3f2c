/** The words of a denial in Service Usage, as seen in public logs of gcloud and Terraform. */
import type { Check } from '../service.ts';

export function usageDenied({ permission, asked }: Required<Check>): string {
  const verb = permission.slice(permission.lastIndexOf('.') + 1);
  if (permission.startsWith('serviceusage.operations.')) return `Permission denied to ${verb} operation [${asked}]`;
  const [container, service] = asked.split('/services/');
  return service === undefined ? `Permission denied to ${verb} services for consumer container [${container ?? ''}]` : `Permission denied to ${verb} service [${service}]`;
}
