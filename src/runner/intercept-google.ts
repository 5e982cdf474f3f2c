/**
 * Whether Google's names lead a task of this account to us, as they do wherever the driver can bring it about.
 * @param realAccounts e-mails of accounts whose tasks are given tokens of the real Google: they are to reach the real one
 */
export function interceptsGoogle(serviceAccount: string, realAccounts: ReadonlySet<string>): boolean {
  return !realAccounts.has(serviceAccount);
}
