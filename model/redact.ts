/**
 * Secrets in what kernels print and are started with: values of parameters whose name says so, passwords in addresses, credentials of
 * HTTP. By pattern: a secret that stands alone stays.
 *
 *   mk.token=f706184e console=tty0            →  mk.token=[redacted] console=tty0
 *   url=https://joe:secret@host/x             →  url=https://[redacted]@host/x
 */
/** Words, not parts of words: `iommu.passthrough=1`, `keymap=us` and `secretmem.enable=1` are no secrets. */
const SECRET_NAME =
  '(?:token|secret(?!mem)|passw(?:or)?d|passphrase|(?<![a-z])pass(?![a-z])|pwd|credentials?|api[_-]?key|authorization|psk|cookie|auth(?![a-z]))';

/** Group 1 is what stays in front of a secret. */
const SECRETS: readonly RegExp[] = [
  // `name=value` of any name with such a word in it; with a colon only where the word ends the name.
  new RegExp(String.raw`([\w.-]*(?:${SECRET_NAME}|key(?![a-z]))[\w.-]*=)("[^"]*"|'[^']*'|[^\s,;&"']+)`, 'gi'),
  new RegExp(String.raw`(\b[\w.-]*${SECRET_NAME}"?:\s{0,8})("[^"]*"|'[^']*'|(?:bearer |basic )?[^\s,;"']+)`, 'gi'),
  /(:\/\/)([^\s/@:]+:[^\s/@]+)(?=@)/g,
  /(\b(?:bearer|basic) )([\w+/=.~-]{8,})/gi,
];

export function redactSecrets(text: string): string {
  let clean = text;
  for (const pattern of SECRETS) clean = clean.replace(pattern, '$1[redacted]');
  return clean;
}
