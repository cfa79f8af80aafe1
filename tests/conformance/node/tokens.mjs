// One part of a conversation by Google's JavaScript SDK, with an ephemeral token and nothing else.
// The only argument is JSON: `key` makes a token, or `token` is one; `handle` resumes; `text` is
// said. Prints JSON: the token, the newest handle, and what was answered.
import { GoogleGenAI } from '@google/genai';

const wanted = JSON.parse(process.argv[2]);
let token = wanted.token;
if (!token) {
  const maker = new GoogleGenAI({ apiKey: wanted.key, httpOptions: { apiVersion: 'v1alpha' } });
  token = (await maker.authTokens.create({ config: { uses: 1 } })).name;
}

const ai = new GoogleGenAI({ apiKey: token, httpOptions: { apiVersion: 'v1alpha' } });
let handle = '';
let said = '';
let complete = false;
let open;
const opened = new Promise((resolve) => { open = resolve; });
const session = await ai.live.connect({
  model: 'gemini-2.5-flash-native-audio-preview-12-2025',
  config: {
    responseModalities: ['TEXT'],
    sessionResumption: wanted.handle ? { handle: wanted.handle } : {},
  },
  callbacks: {
    onmessage: (message) => {
      const update = message.sessionResumptionUpdate;
      for (const part of message.serverContent?.modelTurn?.parts ?? []) said += part.text ?? '';
      complete ||= Boolean(message.serverContent?.turnComplete);
      if (!update?.resumable) return;
      // The first handle is of the beginning; the one after the turn contains what was said.
      if (!handle) opened.then((it) => it.sendClientContent({ turns: wanted.text }));
      else if (complete) opened.then((it) => it.close());
      handle = update.newHandle;
    },
    onclose: (event) => {
      const closed = { code: event.code, reason: event.reason };
      process.stdout.write(JSON.stringify({ token, handle, said, closed }) + '\n');
      process.exit(0);
    },
  },
});
open(session);
