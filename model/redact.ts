/** What a command line may say and others should not read. */

/** Names of parameters whose value is a secret, whole or as a part: `root_password=`, `token=`, `auth-key=`. */
const SECRET =
  /(^|[\s"'])([\w.-]*(?:pass(?:word|wd|phrase)?|secret|token|api[_-]?key|auth|credential|private)[\w.-]*)=("[^"]*"|'[^']*'|\S+)/gi;
/** `https://user:password@host/` */
const URL_PASSWORD = /(\b[a-z][a-z0-9+.-]*:\/\/[^\s:@/]*):[^\s@/]+@/gi;

/** A kernel command line with the values of its secrets left out. */
export function redactCommandLine(commandLine: string): string {
  return commandLine.replace(SECRET, '$1$2=…').replace(URL_PASSWORD, '$1:…@');
}
