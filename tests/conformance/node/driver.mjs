// Holds one conversation by Google's JavaScript SDK, and tells what came, a JSON line each.
// The only argument is JSON: config, and of speech (a file of 16 kHz PCM), text, turns and key
// what is wanted. Calls of functions are answered with {"result": "ok"}.
import { GoogleGenAI } from '@google/genai';
import * as fs from 'node:fs';

const wanted = JSON.parse(process.argv[2]);
const model = wanted.model ?? 'gemini-2.5-flash-native-audio-preview-12-2025';
const CHUNK = 3200;
let turns = 0;

function tell(what) {
  process.stdout.write(JSON.stringify(what) + '\n');
}

let opened;
const session = await new GoogleGenAI(wanted.key ? { apiKey: wanted.key } : {}).live.connect({
  model,
  config: wanted.config,
  callbacks: {
    onmessage: (message) => {
      tell(message);
      const calls = message.toolCall?.functionCalls ?? [];
      if (calls.length) {
        const functionResponses = calls.map(({ id, name }) => ({
          id, name, response: { result: 'ok' },
        }));
        opened.then((it) => it.sendToolResponse({ functionResponses }));
      }
      if (message.serverContent?.turnComplete && ++turns === (wanted.turns ?? 1)) {
        opened.then((it) => it.close());
      }
    },
    onclose: (event) => {
      tell({ closed: { code: event.code, reason: event.reason } });
      process.exit(0);
    },
  },
});
opened = Promise.resolve(session);

if (wanted.text) session.sendClientContent({ turns: wanted.text });
if (wanted.speech) {
  await new Promise((resolve) => setTimeout(resolve, wanted.after ?? 0));
  let pcm = Buffer.concat([fs.readFileSync(wanted.speech), Buffer.alloc(64000)]);
  const timer = setInterval(() => {
    if (!pcm.length) return clearInterval(timer);
    const data = pcm.subarray(0, CHUNK).toString('base64');
    pcm = pcm.subarray(CHUNK);
    session.sendRealtimeInput({ audio: { data, mimeType: 'audio/pcm;rate=16000' } });
  }, 100);
}
