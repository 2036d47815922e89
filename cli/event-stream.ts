/**
 * Server-sent events (HTML standard, "text/event-stream"):
 *
 *   event: log                      ← name, `message` where there is none
 *   data: {"uid":"…",               ← several data lines are joined with a newline
 *   data:  "body":"…"}
 *                                   ← a blank line ends the event
 *   : keep-alive                    ← a comment
 *
 * `id` and `retry` are ignored: who follows a log asks for what it missed by time.
 */
export interface ServerEvent {
  readonly name: string;
  readonly data: string;
}

/** An event that grows beyond this is not one of ours. */
const MAX_EVENT_CHARS = 16 << 20;

export async function* readEventStream(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder();
  let rest = '';
  let name = '';
  let data: string[] = [];
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    if (rest.length > MAX_EVENT_CHARS) return;
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) yield { name: name === '' ? 'message' : name, data: data.join('\n') };
        name = '';
        data = [];
      } else if (line.startsWith('data:')) data.push(line.slice(line[5] === ' ' ? 6 : 5));
      else if (line.startsWith('event:')) name = line.slice(6).trim();
    }
  }
}
