/** google.cloud.secretmanager.v1: secrets that programs read by name, as whom they run. What is kept of payloads is encrypted: store/payload-cipher.ts. */
import { SecretManagerService } from '../../gen/google/cloud/secretmanager/v1/service_pb.js';
import { type AnyService, defineService } from '../service.ts';
import { policyMethods } from './policies.ts';
import { type SecretDeps, secretMethods } from './secrets.ts';
import { versionMethods } from './versions.ts';

export function createSecretManagerService(deps: SecretDeps): AnyService {
  return defineService<typeof SecretManagerService>({
    desc: SecretManagerService,
    host: 'secretmanager.googleapis.com',
    legacyErrors: false,
    // Recorded: https://github.com/googleapis/python-secret-manager/issues/389
    denied: ({ permission, asked }) => `Permission '${permission}' denied for resource '${asked}' (or it may not exist).`,
    methods: {
      ...secretMethods(deps),
      ...versionMethods(deps),
      ...policyMethods(deps),
      // They change the password of a user of Cloud SQL, which is not here.
      enableManagedRotation: 'unimplemented',
      rotateSecret: 'unimplemented',
    },
  });
}
