/** Google's JSON key file, as client libraries read it (GOOGLE_APPLICATION_CREDENTIALS). */
import type { KeyObject } from 'node:crypto';
import type { ServiceAccountRow } from '../../store/service-accounts.ts';

/**
 * Deviation: the addresses of tokens and certificates are this server's, so that a library that reads them from the file comes here.
 * @param url of this server, without a slash at the end
 */
export function keyFile(account: ServiceAccountRow, key: { readonly id: string; readonly privateKey: KeyObject }, url: string): Uint8Array {
  const file = {
    type: 'service_account',
    project_id: account.project_id,
    private_key_id: key.id,
    private_key: key.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    client_email: account.email,
    client_id: account.oauth2_client_id,
    auth_uri: 'https://accounts.google.com/o/oauth2/auth',
    token_uri: `${url}/oauth2.googleapis.com/token`,
    auth_provider_x509_cert_url: `${url}/www.googleapis.com/oauth2/v1/certs`,
    client_x509_cert_url: `${url}/www.googleapis.com/robot/v1/metadata/x509/${encodeURIComponent(account.email)}`,
    universe_domain: 'googleapis.com',
  };
  return new TextEncoder().encode(`${JSON.stringify(file, undefined, 2)}\n`);
}
